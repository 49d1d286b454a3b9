// The cards of a result. What they take is what the server's shown.py gives.
import { clock, element, hue, percent } from './dom.js';

export function workingCard({ task, done, total, detail }) {
  return element('section', { class: 'ts-card' },
    element('p', {}, detail ? `${task}: ${detail}` : task),
    element('progress', { max: total, value: done }));
}

export function problemCard(sentence) {
  return element('section', { class: 'ts-card ts-problem', role: 'alert' },
    element('h3', {}, 'No result'),
    element('p', { id: 'ts-problem' }, sentence));
}

export function headCard(video) {
  return element('section', { class: 'ts-card ts-head' },
    element('p', { class: 'ts-small' }, `${video.name}, ${clock(video.seconds)}`),
    element('h2', { id: 'ts-label' }, `${video.label} `, element('b', {}, percent(video.score))),
    element('p', { id: 'ts-why' }, video.why),
    note(video.warning));
}

export function momentCard(moment) {
  const pictures = Object.entries(moment.pictures).map(([caption, src]) => element('figure', {},
    element('img', { src, alt: caption }),
    element('figcaption', {}, caption)));
  const seconds = moment.seconds.toFixed(3);
  return element('section', { class: 'ts-card', id: 'ts-moment', 'data-seconds': seconds },
    element('h3', {}, `At ${moment.seconds.toFixed(2)} s: ${moment.classes[0].label}`),
    element('div', { class: 'ts-pictures' }, ...pictures),
    element('p', {}, moment.why),
    note(moment.note),
    bars(moment));
}

function bars({ classes, others, smooth_seconds: smooth }) {
  const legend = Object.keys(classes[0].scores).map((part) => element('span',
    { class: `ts-${part}` }, part === 'together' ? `together, over ${smooth} s` : part));
  const bar = ([part, score]) => element('div',
    { class: `ts-bar ts-${part}`, title: `${part}: ${percent(score, 1)}` },
    element('i', { '--width': percent(score, 1) }),
    element('b', {}, percent(score)));
  const rows = classes.map((each) => element('div', { class: 'ts-class' },
    element('span', { '--hue': hue(each.class) }, each.label),
    element('div', {}, ...Object.entries(each.scores).map(bar))));
  const less = `${others} more ${others === 1 ? 'class scores' : 'classes score'} less.`;
  return element('div', { class: 'ts-bars' },
    element('p', { class: 'ts-legend' }, ...legend),
    ...rows,
    others ? element('p', { class: 'ts-small' }, less) : '');
}

const note = (sentence) => (sentence ? element('p', { class: 'ts-note' }, sentence) : '');
