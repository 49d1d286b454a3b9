// What stands beside the player: training, the videos, and the moments that are proposed.
import { clock, element, percent } from './dom.js';

const STATES = {
  none: '',
  waiting: 'prediction waits',
  working: 'predicting',
  ready: 'predicted',
  failed: 'no prediction',
};

export function videoList(videos, chosen, open) {
  return videos.map(({ name, bouts, whole, state, share, why }) => {
    const labelled = whole ? 'all labelled' : `${bouts} ${bouts === 1 ? 'bout' : 'bouts'}`;
    const working = state === 'working' ? ` ${percent(share)}` : '';
    const button = element('button', {
      class: 'tl-item', 'aria-current': name === chosen, title: name, 'data-video': name,
    }, element('b', {}, name), element('span', {}, [labelled, `${STATES[state]}${working}`, why]
      .filter(Boolean).join(', ')));
    button.addEventListener('click', () => open(name, 0));
    return element('li', {}, button);
  });
}

export function proposalList(proposals, open) {
  return proposals.map(({ video, seconds, labels, uncertainty }) => {
    const button = element('button', {
      class: 'tl-item', 'data-seconds': seconds, 'data-video': video,
      title: `${percent(uncertainty)} unsure`,
    }, element('b', {}, `${labels[0]} or ${labels[1]}?`),
    element('span', {}, `${video} at ${clock(seconds)}`));
    button.addEventListener('click', () => open(video, seconds));
    return element('li', {}, button);
  });
}

const UPDATE = 'Predictions that know your new labels, within seconds: the networks stay, only their '
  + 'last layers are made anew. The first time it looks at each video, which takes minutes.';

// Returns what is shown of a training; `run` is the one whose predictions are shown.
export function trainingShown(training, run, { start, update, stop }) {
  const { state, task, done, total, said, notes } = training;
  const under = state === 'running' || state === 'stopping';
  const button = element('button', { class: 'tl-main', id: 'tl-train' },
    under ? 'Stop' : 'Train on the labels');
  button.disabled = state === 'stopping';
  button.addEventListener('click', under ? stop : start);
  const again = element('button', { id: 'tl-update', title: UPDATE }, 'Update');
  again.addEventListener('click', update);
  const how = {
    none: run ? '' : 'Name some classes and label bouts of at least two. An update is soon done and '
      + 'gives first predictions; a training gives better ones.',
    running: task, stopping: 'stopping', done: `${training.run} is trained. ${said}`,
    failed: `It was not trained: ${said}`, stopped: said,
  }[state];
  const look = state === 'failed' ? 'tl-wrong' : '';
  const buttons = under ? [button] : [button, again];
  const shown = [element('p', { class: 'tl-buttons' }, ...buttons),
    element('p', { id: 'tl-trained', class: look }, how)];
  if (under) shown.push(element('progress', { max: total || 1, value: done }));
  if (notes.length) {
    shown.push(element('details', {}, element('summary', {}, 'What it said'),
      element('ul', { class: 'ts-small' }, ...notes.map((note) => element('li', {}, note)))));
  }
  return shown;
}

// Asks what a class is to be called; null where it keeps its name.
export function newName(label, classes) {
  const said = window.prompt(`What is ${label} to be called, in all videos?`, label) ?? '';
  const name = said.split(/\s+/).filter(Boolean).join(' '); // as the server takes it
  if (!name || name === label) return null;
  const both = `There is a class ${name}: bouts of ${label} become bouts of it, for good.`;
  return classes.includes(name) && !window.confirm(both) ? null : name;
}
