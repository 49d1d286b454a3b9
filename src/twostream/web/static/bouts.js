// The labels of one video: what is changed, undone, and saved at every change.
import { getLabels, putLabels } from './label_api.js';

const RETRY_MS = 2000;
const DIGITS = 1e6;
// Of what is left of a prediction beside labels: less is where the two see an edge differently.
const LEAST_SECONDS = 0.5;
export const POINT_SECONDS = 1; // that a point event stands for, as in training
let ids = 0;

const rounded = (seconds) => Math.round(seconds * DIGITS) / DIGITS;

// An item is a bout, or with the label null a stretch in which there is nothing. Items are never
// changed, only replaced: what was before them can be undone.
export function item(start, end, label, more = {}) {
  const [first, last] = [start, end].map(rounded).sort((one, other) => one - other);
  ids += 1;
  return { ...more, id: ids, start: first, end: last, label };
}

// Returns what of a span lies in none of the items; of a moment itself, where none is at it.
function apart([start, end], items) {
  if (start === end) {
    const judged = items.some((each) => each.start <= start && start <= each.end);
    return judged ? [] : [[start, end]];
  }
  let left = [[start, end]];
  for (const each of items) {
    left = left.flatMap(([a, b]) => [[a, Math.min(b, each.start)], [Math.max(a, each.end), b]])
      .filter(([a, b]) => b > a);
  }
  return left;
}

// Returns what of predictions nobody has judged yet: what lies beside labels and beside "nothing".
// Labels that are predicted at once do not judge each other.
export function unjudged(predicted, items) {
  return predicted.flatMap((each, i) => {
    const beside = predicted.filter(({ start, end }) => start < each.end && each.start < end)
      .map(({ label }) => label).filter((label) => label !== each.label);
    return apart([each.start, each.end], items.filter(({ label }) => !beside.includes(label)))
      .filter(([start, end]) => end - start >= Math.min(LEAST_SECONDS, each.end - each.start))
      .map(([start, end], part) => ({ ...each, start, end, guess: true, id: `p${i}-${part}` }));
  });
}

// Returns items with "nothing" only where no bout is, and joined where it touches.
function tidy(items) {
  const bouts = items.filter((each) => each.label !== null);
  const spans = items.filter((each) => each.label === null)
    .flatMap((each) => apart([each.start, each.end], bouts).map(([a, b]) => (
      a === each.start && b === each.end ? each : item(a, b, null))))
    .sort((one, other) => one.start - other.start);
  const joined = [];
  for (const each of spans) {
    const last = joined.at(-1);
    if (last && each.start <= last.end) {
      joined[joined.length - 1] = item(last.start, Math.max(last.end, each.end), null);
    } else joined.push(each);
  }
  return [...bouts, ...joined];
}

export class Bouts {
  // changed() is called when they are others, said(sentence) on how saving goes, conflict() when
  // somebody else has changed them.
  constructor(name, told) {
    this.name = name;
    this.told = told;
    this.items = [];
    this.whole = false;
    this.undone = [];
    this.done = [];
    this.saving = false;
    this.dirty = false;
    this.waiting = 0; // changes that wait for something, as for a frame's time
    this.theirs = null; // what others made of it
  }

  // Whether anything is on its way to the file.
  get busy() { return this.dirty || this.saving || this.waiting > 0; }

  // Does what will change them, and waits for something before.
  async during(work) {
    this.waiting += 1;
    try { await work(); } finally { this.waiting -= 1; }
  }

  async load() {
    const found = await getLabels(this.name);
    this.take(found);
    return found;
  }

  // Takes what stands there now, but for what is being saved: it becomes a conflict. Nothing before
  // it can be undone.
  async again() {
    const found = await getLabels(this.name);
    if (this.busy) return;
    Object.assign(this, { done: [], undone: [] });
    this.take(found);
  }

  take({ version, bouts, nothing, whole, file }) {
    this.version = version;
    this.items = [
      ...bouts.map(({ start, end, label, ...more }) => item(start, end, label, more)),
      ...nothing.map(([start, end]) => item(start, end, null)),
    ];
    this.whole = whole;
    this.file = file;
    this.told.changed();
  }

  get state() { return { items: this.items, whole: this.whole }; }

  // Replaces all; undo brings back what was before.
  change(items, whole = this.whole) {
    this.done.push(this.state);
    this.undone = [];
    this.set({ items: tidy(items), whole });
  }

  add(...items) { this.change([...this.items, ...items]); }

  remove(id) { this.change(this.items.filter((each) => each.id !== id)); }

  replace(id, made) { this.change(this.items.map((each) => (each.id === id ? made : each))); }

  undo() { this.back(this.done, this.undone); }

  redo() { this.back(this.undone, this.done); }

  back(from, to) {
    if (!from.length) return;
    to.push(this.state);
    this.set(from.pop());
  }

  set({ items, whole }) {
    Object.assign(this, { items, whole, dirty: true });
    this.told.changed();
    this.save();
  }

  get sent() {
    const spans = this.items.filter((each) => each.label === null);
    return {
      version: this.version,
      bouts: this.items.filter((each) => each.label !== null).map(({ id, ...bout }) => bout),
      nothing: spans.map(({ start, end }) => [start, end]),
      whole: this.whole,
    };
  }

  // Saves what there is, one request at a time, and again until the server has taken it.
  async save() {
    if (this.saving || this.theirs) return;
    this.saving = true;
    while (this.dirty && !this.theirs) {
      this.dirty = false;
      this.told.said('saving');
      try {
        const { status, value } = await putLabels(this.name, this.sent);
        if (status === 409) {
          this.dirty = true;
          this.theirs = value.now;
          this.told.conflict(value.error);
        } else this.saved(value);
      } catch (error) {
        this.dirty = true;
        this.told.said(`not saved: ${error.message}`, true);
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
      }
    }
    this.saving = false;
  }

  saved(value) {
    this.version = value.version;
    this.file = value.file;
    // the format rounds times; who is just changing one finds it as it was
    if (!this.dirty && !this.waiting && !this.same(value)) this.take(value);
    this.told.said(value.file ? `saved in ${value.file}` : 'saved: no label');
  }

  // Whether what stands in the file is what was sent.
  same({ bouts, nothing, whole }) {
    const plain = (spans) => JSON.stringify(spans.sort());
    const mine = this.sent;
    const of = ({ start, end, label }) => [start, end, label];
    return whole === this.whole
      && plain(bouts.map(of)) === plain(mine.bouts.map(of))
      && (whole || plain(nothing) === plain(mine.nothing));
  }

  // Ends a conflict: with what others made of it, or with what is shown here.
  settle(keep) {
    const { theirs } = this;
    this.theirs = null;
    if (keep) {
      this.version = theirs.version;
      this.save();
    } else {
      this.dirty = false;
      Object.assign(this, { done: [], undone: [] });
      this.take(theirs);
      this.told.said('as the others left it');
    }
  }
}
