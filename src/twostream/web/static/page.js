// The page: send or pick a video, see what the networks say, when, and why.
import { getModel, getMoment, showVideo } from './api.js';
import { headCard, momentCard, problemCard, workingCard } from './cards.js';
import { element, percent } from './dom.js';
import { trackCard } from './track.js';

const NAMED_CLASSES = 12;
const find = (id) => document.getElementById(id);
const [send, videos, result] = ['ts-send', 'ts-videos', 'ts-result'].map(find);
let limits;
let stop = () => {}; // ends the work on the video before

function say(sentence) { find('ts-said').textContent = sentence; }

function start(video, name) {
  stop();
  say(name);
  stop = showVideo(video, {
    sent: (share) => say(share < 1 ? `sending ${name}: ${percent(share)}` : name),
    refused: (why) => {
      say(`${name} was not taken: ${why}`);
      if (result.querySelector('progress')) result.replaceChildren(); // nothing is worked on
    },
    told: (line) => {
      if (line.task) result.replaceChildren(workingCard(line));
      else if (line.error) result.replaceChildren(problemCard(line.error));
      else show(line);
    },
  });
}

function show(video) {
  let card = momentCard(video.moment);
  let wanted = null;
  let asking = false;

  // One question at a time: of the moments wanted meanwhile only the last one is asked for.
  async function look(seconds) {
    wanted = seconds;
    if (asking) return;
    asking = true;
    while (wanted !== null) {
      const at = wanted;
      wanted = null;
      const next = await getMoment(video.key, at).then(momentCard, (e) => problemCard(e.message));
      card.replaceWith(next);
      card = next;
    }
    asking = false;
  }

  result.replaceChildren(headCard(video), trackCard(video, video.moment.seconds, look), card);
}

function sendFile(file) {
  const { name, size } = file;
  if (size > limits.max_mb * 1e6) say(`${name} is larger than ${limits.max_mb} MB: cut it`);
  else start(file, name);
}

function begin(model) {
  const more = model.classes.length - NAMED_CLASSES;
  const some = model.classes.slice(0, NAMED_CLASSES).join(', ');
  find('ts-run').append(element('b', {}, model.run), ` knows ${model.classes.length} actions: `,
    some, more > 0 ? ` and ${more} more.` : '.');
  if (model.labelled) {
    find('ts-run').append(' ', element('a', { href: 'label.html' }, `Label ${model.labelled}`));
  }
  limits = model.limits;
  find('ts-limits').append(`; up to ${limits.max_mb} MB and ${limits.max_seconds} s`);
  videos.append(...model.videos.map((name, i) => element('option', { value: i }, name)));
  videos.parentElement.hidden = !model.videos.length;
  send.hidden = false;
}

send.addEventListener('change', ({ target }) => {
  if (target === videos && videos.value) {
    start(videos.value, videos.selectedOptions[0].textContent);
  } else if (target.files?.length) {
    sendFile(target.files[0]);
    target.value = ''; // the same file may be chosen again
  }
});
for (const name of ['dragover', 'dragleave', 'drop']) {
  send.addEventListener(name, (event) => {
    event.preventDefault();
    send.classList.toggle('ts-over', name === 'dragover');
    if (name === 'drop' && event.dataTransfer.files.length) sendFile(event.dataTransfer.files[0]);
  });
}
getModel().then(begin, (error) => result.replaceChildren(problemCard(error.message)));
