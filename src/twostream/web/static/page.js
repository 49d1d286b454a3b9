// The page: send or pick a video, see what the networks say, when, and why.
import { getModel, getMoment, showVideo } from './api.js';
import { headCard, momentCard, problemCard, workingCard } from './cards.js';
import { element } from './dom.js';
import { trackCard } from './track.js';

const NAMED_CLASSES = 12;
const [run, send, drop, limitsSaid, pick, videos, said, result] = [
  '#ts-run', '#ts-send', '.ts-drop', '#ts-limits', '.ts-pick', '#ts-videos', '#ts-said', '#ts-result',
].map((css) => document.querySelector(css));
let limits = { max_mb: Infinity };
let stop = () => {}; // ends the work on the video before

const say = (sentence) => { said.textContent = sentence; };

function start(video, name) {
  stop();
  say(name);
  stop = showVideo(video, {
    sending: (share) => say(share < 1 ? `sending ${name}: ${Math.round(100 * share)}%` : name),
    refused: (why) => say(`${name} was not taken: ${why}`),
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

  function put(next) {
    card.replaceWith(next);
    card = next;
  }

  // One question at a time: of the moments wanted meanwhile only the last one is asked for.
  async function look(seconds) {
    wanted = seconds;
    if (asking) return;
    asking = true;
    while (wanted !== null) {
      const at = wanted;
      wanted = null;
      try {
        put(momentCard(await getMoment(video.key, at)));
      } catch (error) {
        put(problemCard(error.message));
      }
    }
    asking = false;
  }

  result.replaceChildren(headCard(video), trackCard(video, video.moment.seconds, look), card);
}

function sendFile(file) {
  if (file.size > limits.max_mb * 1e6) say(`${file.name} is larger than ${limits.max_mb} MB: cut it`);
  else start(file, file.name);
}

send.addEventListener('change', ({ target }) => {
  if (target.files?.length) {
    sendFile(target.files[0]);
    target.value = ''; // the same file may be chosen again
  } else if (target === videos && videos.value) {
    start(Number(videos.value), videos.selectedOptions[0].textContent);
  }
});
for (const name of ['dragover', 'dragleave', 'drop']) {
  send.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('ts-over', name === 'dragover');
    if (event.type === 'drop' && event.dataTransfer.files.length) sendFile(event.dataTransfer.files[0]);
  });
}

try {
  const model = await getModel();
  const more = model.classes.length - NAMED_CLASSES;
  const some = model.classes.slice(0, NAMED_CLASSES).join(', ') + (more > 0 ? ` and ${more} more` : '');
  limits = model.limits;
  run.append(element('b', {}, model.run), ` knows ${model.classes.length} actions: ${some}.`);
  limitsSaid.textContent += `; up to ${limits.max_mb} MB and ${limits.max_seconds} s`;
  videos.append(...model.videos.map((name, i) => element('option', { value: i }, name)));
  pick.hidden = !model.videos.length;
  send.hidden = false;
} catch (error) {
  result.replaceChildren(problemCard(`the server does not answer: ${error.message}`));
}
