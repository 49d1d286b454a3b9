// The time line: a row of segments, a row for each stream, and a handle at a moment.
import { clock, element, hue, percent } from './dom.js';

const STEP_SECONDS = 0.2;

// Returns the card of a video's time line with its handle at a moment; calls look(seconds) when
// another one is clicked on or reached with the arrow keys.
export function trackCard(video, at, look) {
  const rows = video.rows.map(({ name, blocks }, i) => element('div', { class: i ? 'ts-row ts-thin' : 'ts-row' },
    element('span', {}, name),
    element('div', {}, blocks.map((each) => block(each, video.seconds, i ? name : null)))));
  const track = element('div', {
    class: 'ts-track', role: 'slider', tabindex: 0, 'aria-label': 'moment',
    'aria-valuemin': 0, 'aria-valuemax': video.seconds.toFixed(2),
  }, rows, element('i', { class: 'ts-hand' }));

  function put(seconds) {
    at = Math.min(Math.max(0, seconds), video.seconds);
    track.setAttribute('aria-valuenow', at.toFixed(2));
    track.style.setProperty('--at', at / video.seconds);
  }

  function go(seconds) {
    put(seconds);
    look(at);
  }

  track.addEventListener('click', (event) => {
    const box = track.querySelector('.ts-row > div').getBoundingClientRect();
    go((event.clientX - box.left) / box.width * video.seconds);
  });
  track.addEventListener('keydown', (event) => {
    const step = { ArrowRight: STEP_SECONDS, ArrowLeft: -STEP_SECONDS }[event.key];
    if (!step) return;
    event.preventDefault();
    go(at + step);
  });
  put(at);
  return element('section', { class: 'ts-card' }, element('h3', {}, 'When'), track,
    element('p', { class: 'ts-ends' }, element('span', {}, '0 s'),
      element('span', {}, 'click, or use the arrow keys'),
      element('span', {}, `${video.seconds.toFixed(1)} s`)));
}

// A row of a stream is thin: its name and what its blocks say are in their tips.
function block({ start, end, label, score, class: number }, seconds, stream) {
  const tip = stream ? `${stream}: ${label}, ${percent(score)}`
    : `${label}, ${percent(score)}, ${clock(start)} to ${clock(end)}`;
  return element('b', {
    class: number === null ? 'ts-none' : 'ts-some', title: tip, '--hue': hue(number ?? 0),
    '--from': percent(start / seconds, 3), '--width': percent((end - start) / seconds, 3),
  }, stream ? '' : label);
}
