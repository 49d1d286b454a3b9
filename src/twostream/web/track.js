const STEP_SECONDS = 0.2;

function go(track, seconds) {
  const length = Number(track.dataset.seconds);
  const at = Math.min(Math.max(0, seconds), length);
  track.setAttribute('aria-valuenow', at.toFixed(2));
  track.style.setProperty('--at', at / length);
  trigger('moment', { seconds: at });
}

element.addEventListener('click', (event) => {
  const track = event.target.closest('.ts-track');
  if (!track) return;
  const box = track.querySelector('.ts-row > div').getBoundingClientRect();
  go(track, (event.clientX - box.left) / box.width * Number(track.dataset.seconds));
});
element.addEventListener('keydown', (event) => {
  const track = event.target.closest('.ts-track');
  const step = { ArrowRight: STEP_SECONDS, ArrowLeft: -STEP_SECONDS }[event.key];
  if (!track || !step) return;
  event.preventDefault();
  go(track, Number(track.getAttribute('aria-valuenow')) + step);
});
