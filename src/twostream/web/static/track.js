// The time line: a row of segments, a row for each stream, and a handle at a moment.
import { clock, element, hue, percent } from './dom.js';

const STEP_SECONDS = 0.2;

// Returns the card of a video's time line, its handle at a moment; calls look(seconds) when
// another one is clicked on or reached with the arrow keys.
export function trackCard(video, at, look) {
  const rows = video.rows.map(({ name, blocks }, i) => element('div',
    { class: i ? 'ts-row ts-thin' : 'ts-row' },
    element('span', {}, name),
    element('div', {}, ...blocks.map((each) => block(each, video.seconds, i ? name : '')))));
  const track = element('div', {
    class: 'ts-track', role: 'slider', tabindex: 0, 'aria-label': 'moment',
    'aria-valuemin': 0, 'aria-valuemax': video.seconds.toFixed(2),
  }, ...rows, element('i', { class: 'ts-hand' }));

  function put(seconds) {
    at = Math.min(Math.max(0, seconds), video.seconds);
    track.setAttribute('aria-valuenow', at.toFixed(2));
    track.style.setProperty('--at', at / video.seconds);
  }

  track.addEventListener('click', (event) => {
    const box = rows[0].lastChild.getBoundingClientRect();
    put((event.clientX - box.left) / box.width * video.seconds);
    look(at);
  });
  track.addEventListener('keydown', (event) => {
    const step = { ArrowRight: STEP_SECONDS, ArrowLeft: -STEP_SECONDS }[event.key];
    if (!step) return;
    event.preventDefault();
    put(at + step);
    look(at);
  });
  put(at);
  const ends = ['0 s', 'click, or use the arrow keys', `${video.seconds.toFixed(1)} s`];
  return element('section', { class: 'ts-card' },
    element('h3', {}, 'When'),
    track,
    element('p', { class: 'ts-ends' }, ...ends.map((text) => element('span', {}, text))));
}

// The rows of streams are thin: what their blocks say is in their tips alone.
function block({ start, end, class: number, label, score }, seconds, stream) {
  const said = score === null ? label : `${label}, ${percent(score)}`; // null: no frames
  return element('b', {
    class: number === null ? 'ts-none' : 'ts-some',
    title: stream ? `${stream}: ${said}` : `${said}, ${clock(start)} to ${clock(end)}`,
    '--hue': hue(number ?? 0),
    '--from': percent(start / seconds, 3),
    '--width': percent((end - start) / seconds, 3),
  }, stream ? '' : label);
}
