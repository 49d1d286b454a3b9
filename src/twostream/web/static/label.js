// The label page: watch a video, label bouts, correct predictions, train.
import { Bouts, POINT_SECONDS, item, unjudged } from './bouts.js';
import { element, percent, refill } from './dom.js';
import { changeClasses, getLabels, getOverview, getProposals, startTraining, startUpdate,
  stopTraining }
  from './label_api.js';
import { listenToKeys } from './label_keys.js';
import { NOTHING, Track } from './label_track.js';
import { newName, proposalList, trainingShown, videoList } from './label_side.js';
import { Player } from './player.js';

const LOOK_MS = { busy: 1000, idle: 4000 };
const find = (id) => document.getElementById(`tl-${id}`);

let overview;
let bouts = null; // of the video that is open
let predicted = null; // what the run says of it
let chosen = null; // id of a bout
let open = null; // the bout that is begun: {label, start, end} of its first frame
let seconds = 1; // length of the video
let proposals = [];
let looked = {}; // what the proposals and the predictions that are shown were made of

function problem(sentence) {
  find('problem').textContent = sentence;
  find('problem').hidden = !sentence;
}

const attempt = (work) => async (...given) => {
  try { problem(''); await work(...given); } catch (error) { problem(error.message); }
};

// For work that ends on the video that is open: no other one is opened before.
const here = (work) => attempt((...given) => bouts.during(() => work(...given)));

const player = new Player(find('screen'), {
  shown(frame) {
    const { told } = frame;
    find('time').textContent = `${frame.time.toFixed(3)} s`;
    lengthen(told.end ?? told.seconds, told.end !== null);
    track.at(frame.time);
  },
  failed: problem,
  playing(yes) { find('play').textContent = yes ? 'Pause' : 'Play'; },
});

const track = new Track(find('track'), {
  seek: (at) => { player.pause(); player.seek(at); },
  chosen: (each) => choose(each, true),
  edged: here(async (each, side, at) => {
    const end = side === 'end';
    const frame = await player.frames.at(end ? at - 0.002 : at);
    const time = end ? frame.end : frame.time;
    await put(each, end ? item(each.start, time, each.label, rest(each))
      : item(time, each.end, each.label, rest(each)));
  }),
  drawn: here(async (each) => {
    const ends = [each.start, each.end].map((at) => player.frames.at(at));
    const [first, last] = await Promise.all(ends);
    await add(item(first.time, last.end, each.label));
  }),
  pressed: (label) => press(label),
  renamed: attempt(async (label) => {
    const to = newName(label, overview.classes);
    if (to === null) return;
    await settled(bouts);
    setClasses(await changeClasses({ rename: label, to }));
    if (open?.label === label) open.label = to;
    await bouts.again();
  }),
  removed: attempt(async (label) => setClasses(await changeClasses({ remove: label }))),
});

// What a bout has beside its times, label and number; a prediction's confidence is not a person's.
function rest({ id, start, end, label, ...more }) {
  const { guess, confidence, ...kept } = more;
  return guess ? {} : { ...kept, confidence: confidence ?? null };
}

// A guess of the run becomes a bout, a bout another one.
async function put(each, made) {
  if (each.guess) {
    await add(made);
  } else {
    chosen = made.id;
    bouts.replace(each.id, made);
  }
}

// Adds items, and classes of theirs that only the run knows so far.
const add = here(async (...made) => {
  for (const { label } of made) {
    if (label !== null && !overview.classes.includes(label)) {
      overview.classes = await changeClasses({ add: label });
    }
  }
  chosen = made.at(-1).id;
  bouts.add(...made);
});

function lengthen(told, sure) {
  const known = Math.max(told, ...bouts.items.map((each) => each.end), 0.04);
  if (sure ? Math.abs(known - seconds) > 1e-3 : known > seconds) {
    seconds = known;
    draw();
  }
}

const guesses = () => unjudged(predicted?.bouts ?? [], bouts.items);

// The classes, and those after them that only the run knows.
function known() {
  return [...new Set([...overview.classes, ...(predicted?.bouts ?? []).map(({ label }) => label)])];
}

function draw() {
  if (!bouts) return;
  const shown = predicted ? guesses() : null;
  const all = [...bouts.items, ...(shown ?? [])];
  const each = all.find(({ id }) => id === chosen);
  if (!each) chosen = null;
  const { items } = bouts;
  const { classes } = overview;
  track.draw({ classes, known: known(), items, predicted: shown, chosen, open, seconds });
  find('selected').replaceChildren(...chosenShown(each, shown ?? []));
  find('undo').disabled = !bouts.done.length;
  find('redo').disabled = !bouts.undone.length;
  find('whole').checked = bouts.whole;
}

function button(text, title, work) {
  const made = element('button', { title, type: 'button' }, text);
  made.addEventListener('click', work);
  return made;
}

function chosenShown(each, shown) {
  const every = shown.length ? [button(`Accept all ${shown.length} predictions`,
    'each of them becomes a bout', () => {
      add(...shown.map((guess) => item(guess.start, guess.end, guess.label)));
    })] : [];
  const why = predicted?.warning ? [element('span', { class: 'ts-small' }, predicted.warning)] : [];
  if (!each) return [...every, ...why];
  const name = each.label === null ? NOTHING : each.label;
  const text = `${each.start.toFixed(3)} to ${each.end.toFixed(3)} s`;
  const who = ['subject', 'annotator', 'comment'].map((key) => each[key]).filter(Boolean);
  const sure = each.guess ? `, ${percent(each.confidence)} sure` : '';
  const lists = known().map((label) => {
    const made = element('option', { value: label }, label);
    made.selected = label === each.label;
    return made;
  });
  const pick = element('select', { 'aria-label': 'class of the chosen bout' },
    ...(each.label === null ? [element('option', { value: '' }, NOTHING)] : []), ...lists);
  pick.addEventListener('change', () => {
    if (pick.value) put(each, item(each.start, each.end, pick.value, rest(each)));
  });
  const accept = button('Accept', 'a', () => accepted(each));
  const drop = each.guess ? button('Nothing here', 'x', () => dropped(each))
    : button('Delete', 'x', () => dropped(each));
  return [element('span', {}, element('b', {}, name), ` ${[text, ...who].join(', ')}${sure}`),
    ...(each.guess ? [accept] : []), pick, drop, ...every];
}

function accepted(each) { if (each?.guess) put(each, item(each.start, each.end, each.label)); }

function dropped(each) {
  if (!each) return;
  if (each.guess) {
    const more = each.start === each.end ? POINT_SECONDS / 2 : 0;
    add(item(Math.max(0, each.start - more), Math.min(seconds, each.end + more), null));
  } else bouts.remove(each.id);
}

function choose(each, seek = false) {
  chosen = each?.id ?? null;
  if (seek && each) {
    player.pause();
    player.seek(each.start);
  }
  draw();
}

const chosenOne = () => [...bouts.items, ...guesses()].find(({ id }) => id === chosen);

// Starts a bout of a class with the frame that is shown, or ends the one that is begun.
function press(label) {
  const { frame } = player;
  if (!frame) return;
  const begun = open;
  open = begun?.label === label ? null : { label, start: frame.time, end: frame.end };
  if (!begun) draw();
  else if (open === null) {
    add(item(Math.min(begun.start, frame.time), Math.max(begun.end, frame.end), begun.label));
  } else if (frame.time > begun.start) add(item(begun.start, frame.time, begun.label));
  else draw();
}

function setEdge(side) {
  const each = chosenOne();
  if (!each || !player.frame) return;
  const { time, end } = player.frame;
  if (side === 'start' && time < each.end) put(each, item(time, each.end, each.label, rest(each)));
  if (side === 'end' && end > each.start) put(each, item(each.start, end, each.label, rest(each)));
}

function setClasses(classes) {
  overview.classes = classes;
  draw();
}

const openVideo = attempt(async (name, at) => {
  player.pause();
  if (bouts?.name !== name) {
    const next = new Bouts(name, {
      changed: () => { if (bouts === next) { draw(); soon(); } },
      said: (sentence, wrong) => { if (bouts === next) saidSaved(sentence, wrong); },
      conflict: (sentence) => { if (bouts === next) conflict(sentence); },
    });
    const found = await next.load();
    if (bouts) await settled(bouts);
    [bouts, predicted, chosen, open, seconds] = [next, found.predicted, null, null, 1];
    find('conflict').hidden = true;
    find('stage').hidden = false;
    find('video').textContent = name;
    saidSaved(found.file ? `labels are in ${found.file}` : 'no label yet');
    history.replaceState(null, '', `#${encodeURIComponent(name)}`);
    draw();
    side();
    await player.open(name, at);
  } else await player.seek(at);
  find('screen').focus({ preventScroll: true });
});

// Waits until a video's labels are saved, before another one is opened.
async function settled(each) {
  if (each.theirs) throw new Error(`${each.name}: decide first whose labels are kept`);
  for (let i = 0; each.busy; i += 1) {
    if (i > 50) throw new Error(`${each.name} is not saved yet: stay until it is`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

function saidSaved(sentence, wrong = false) {
  find('saved').textContent = sentence;
  find('saved').classList.toggle('tl-wrong', wrong);
}

function conflict(sentence) {
  const bar = find('conflict');
  const end = (keep) => () => { bar.hidden = true; bouts.settle(keep); };
  bar.replaceChildren(`${sentence}. `,
    button('Take what is there', 'what is shown here goes', end(false)),
    button('Keep what is shown here', 'it replaces what the others saved', end(true)));
  bar.hidden = false;
  saidSaved('not saved', true);
}

function side() {
  const { videos, training, run, notes } = overview;
  const marks = new Map(videos.map((each) => [each.name, each]));
  if (bouts && marks.has(bouts.name)) {
    Object.assign(marks.get(bouts.name), { bouts: bouts.sent.bouts.length, whole: bouts.whole });
  }
  refill(find('videos'), videoList(videos, bouts?.name, openVideo));
  refill(find('training'), trainingShown(training, run, {
    start: attempt(async () => { overview.training = await startTraining(); side(); soon(); }),
    update: attempt(async () => { overview.training = await startUpdate(); side(); soon(); }),
    stop: attempt(async () => { overview.training = await stopTraining(); side(); }),
  }));
  const link = element('a', { href: './' }, run ?? '');
  find('run').replaceChildren(...(run ? ['; predictions are of ', link] : ['; not trained yet']));
  find('notes').hidden = !notes.length;
  find('notes').lastElementChild.replaceChildren(...notes.map((note) => element('li', {}, note)));
  const ready = videos.filter(({ state }) => state === 'ready').length;
  find('unsure').textContent = run ? `of ${ready} of ${videos.length} videos` : 'after an update or a training';
}

let timer;
function soon(after = 300) {
  clearTimeout(timer);
  timer = setTimeout(look, after);
}

// Asks how all is going, and for what has come of it.
async function look() {
  clearTimeout(timer);
  let busy = false;
  try {
    const known = JSON.stringify(overview?.classes);
    overview = await getOverview();
    const { training, videos } = overview;
    let changed = JSON.stringify(overview.classes) !== known;
    busy = training.state === 'running' || videos.some(({ state }) => state === 'working');
    const mine = videos.find(({ name }) => name === bouts?.name);
    const of = { video: mine?.name, run: overview.run, state: mine?.state };
    if (bouts && JSON.stringify(of) !== JSON.stringify(looked)) {
      const name = bouts.name;
      const found = await getLabels(name);
      if (bouts.name === name) predicted = found.predicted;
      looked = of;
      changed = true;
    }
    proposals = overview.run ? await getProposals() : [];
    if (find('problem').dataset.lost) problem('');
    delete find('problem').dataset.lost;
    if (changed) draw(); // else who is just clicking would miss
    side();
    refill(find('proposals'), proposalList(proposals, openVideo));
  } catch (error) {
    problem(error.message);
    find('problem').dataset.lost = 'yes';
  }
  soon(busy ? LOOK_MS.busy : LOOK_MS.idle);
}

function nextProposal() {
  if (proposals.length) openVideo(proposals[0].video, proposals[0].seconds);
}

const KEYS = {
  ' ': () => player.toggle(),
  ArrowRight: (event) => (event.shiftKey ? jump(1) : player.step(1)),
  ArrowLeft: (event) => (event.shiftKey ? jump(-1) : player.step(-1)),
  ArrowUp: () => faster(1),
  ArrowDown: () => faster(-1),
  Escape: () => { open = null; draw(); },
  '[': () => setEdge('start'),
  ']': () => setEdge('end'),
  a: () => accepted(chosenOne()),
  x: () => dropped(chosenOne()),
  Delete: () => dropped(chosenOne()),
  n: nextProposal,
  '+': () => track.zoomed(1),
  '-': () => track.zoomed(-1),
};

function jump(by) {
  player.pause();
  player.seek(Math.max(0, (player.frame?.time ?? 0) + by));
}

function faster(by) {
  player.faster(by);
  find('speed').value = String(player.speed);
}

function listen() {
  listenToKeys(KEYS, {
    undo: () => bouts.undo(),
    redo: () => bouts.redo(),
    number: (number) => {
      const label = number ? overview.classes[number - 1] : null;
      if (label !== undefined) press(label);
    },
  }, () => bouts !== null);
  const on = (id, work) => find(id).addEventListener('click', work);
  on('play', () => player.toggle());
  on('back', () => player.step(-1));
  on('on', () => player.step(1));
  on('undo', () => bouts.undo());
  on('redo', () => bouts.redo());
  on('in', () => track.zoomed(1));
  on('out', () => track.zoomed(-1));
  find('speed').addEventListener('change', ({ target }) => player.setSpeed(Number(target.value)));
  find('whole').addEventListener('change', ({ target }) => {
    bouts.change(bouts.items, target.checked);
  });
  find('add').addEventListener('submit', attempt(async (event) => {
    event.preventDefault();
    const label = find('class').value;
    if (!label.trim()) return;
    setClasses(await changeClasses({ add: label }));
    find('class').value = '';
  }));
  // what was clicked on keeps no key from the player
  document.addEventListener('click', ({ detail, target }) => {
    if (detail && target.closest('.tl-stage button, .tl-whole')) {
      find('screen').focus({ preventScroll: true });
    }
  });
  window.addEventListener('beforeunload', (event) => { if (bouts?.busy) event.preventDefault(); });
}

async function begin() {
  listen();
  await look();
  if (!overview) return;
  find('folder').textContent = overview.folder;
  const wanted = decodeURIComponent(location.hash.slice(1));
  const names = overview.videos.map(({ name }) => name);
  await openVideo(names.includes(wanted) ? wanted : names[0], 0);
}

begin();
