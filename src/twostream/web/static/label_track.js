// The time line that labels are drawn on: a lane a class, one for "nothing", one for predictions.
import { clock, element, hue, percent } from './dom.js';
import { item } from './bouts.js';

const DRAWN_PX = 4; // a pointer that moves less has clicked
const LEAST_SECONDS = 0.02; // of a bout, while an edge is dragged
const ZOOMS = [1, 2, 4, 8, 16, 32, 64, 128];
export const NOTHING = 'nothing';

const times = ({ start, end }) => `${start.toFixed(2)} to ${end.toFixed(2)} s`;

export class Track {
  // told: seek(seconds); chosen(item) when a bout is clicked on; edged(item, side) when an edge
  // has been dragged, side being start or end; drawn(item) for a bout that was drawn by hand;
  // pressed(label) for the name of a lane; renamed(label) and removed(label) for what is beside it.
  constructor(root, told) {
    this.root = root;
    this.told = told;
    this.zoom = 1;
    this.seconds = 1;
    this.hand = element('i', { class: 'tl-hand' });
    this.rows = element('div', { class: 'tl-rows' });
    this.inner = element('div', { class: 'tl-inner' }, this.rows, this.hand);
    this.root.replaceChildren(this.inner);
    this.inner.addEventListener('pointerdown', (event) => this.press(event));
  }

  // Shows classes, their items, and predictions, whose classes are among all that are known;
  // `open` is the bout that is begun, {label, start}.
  draw({ classes, known, items, predicted, chosen, open, seconds }) {
    Object.assign(this, { classes, known, seconds, items: new Map(), chosen });
    const lanes = [...classes, null];
    const rows = lanes.map((label) => this.row(label, open,
      items.filter((each) => each.label === label)));
    if (predicted) rows.push(...this.predictions(predicted));
    const focused = document.activeElement?.dataset?.id;
    this.rows.replaceChildren(...rows, this.scale());
    if (focused) this.rows.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
    this.at(this.time ?? 0);
  }

  row(label, open, items) {
    const number = label === null ? 0 : this.classes.indexOf(label) + 1;
    const begun = open && open.label === label;
    const name = label === null ? NOTHING : label;
    const key = number <= 9 ? element('kbd', {}, String(number)) : '';
    const head = element('span', { class: 'tl-head' },
      element('button', {
        class: 'tl-class', 'data-label': name, 'aria-pressed': begun,
        title: `${begun ? 'end' : 'start'} a bout of ${name} at the frame that is shown`,
        '--hue': hue(number - 1),
      }, key, element('span', {}, name)));
    head.firstChild.addEventListener('click', () => this.told.pressed(label));
    if (label !== null) {
      const pen = element('button', {
        class: 'tl-cross', title: `rename the class ${name}`, 'aria-label': `rename ${name}`,
      }, '\u270e');
      pen.addEventListener('click', () => this.told.renamed(label));
      head.append(pen);
    }
    if (label !== null && !items.length) {
      const cross = element('button', {
        class: 'tl-cross', title: `remove the class ${name}`, 'aria-label': `remove ${name}`,
      }, '\u00d7');
      cross.addEventListener('click', () => this.told.removed(label));
      head.append(cross);
    }
    const lane = element('div', { class: 'tl-lane', 'data-lane': number },
      ...items.map((each) => this.bout(each, name)));
    if (begun) {
      this.begun = element('i', { class: 'tl-begun', '--hue': hue(number - 1) });
      this.begun.start = open.start;
      lane.append(this.begun);
    }
    return element('div', { class: 'tl-row' }, head, lane);
  }

  // A lane, and more of them where several labels are predicted at once.
  predictions(predicted) {
    const lanes = [[]];
    for (const each of [...predicted].sort((one, other) => one.start - other.start)) {
      const free = lanes.find((lane) => !lane.length || lane.at(-1).end <= each.start);
      if (free) free.push(each); else lanes.push([each]);
    }
    return lanes.map((lane, i) => element('div', { class: 'tl-row tl-predicted' },
      element('span', { class: 'tl-head' }, i ? '' : 'predicted'),
      element('div', { class: 'tl-lane' },
        ...lane.map((each) => this.bout(each, each.label, true)))));
  }

  bout(each, name, predicted = false) {
    this.items.set(String(each.id), each);
    const sure = predicted ? `, ${percent(each.confidence)} sure` : '';
    const said = `${predicted ? 'predicted ' : ''}${name}, ${times(each)}${sure}`;
    const made = element('button', {
      class: each.label === null ? 'tl-bout tl-nothing' : 'tl-bout',
      'data-id': each.id, 'aria-label': said, title: said,
      'aria-pressed': each.id === this.chosen,
      '--hue': hue(this.known.indexOf(each.label)),
      '--from': percent(each.start / this.seconds, 4),
      '--width': percent((each.end - each.start) / this.seconds, 4),
    }, element('i', { 'data-edge': 'start' }),
    element('span', {}, predicted ? name : each.subject || ''),
    element('i', { 'data-edge': 'end' }));
    made.addEventListener('click', () => {
      const found = this.items.get(made.dataset.id);
      if (found && !this.dragged) this.told.chosen(found);
    });
    return made;
  }

  scale() {
    const parts = [0, 0.25, 0.5, 0.75, 1];
    return element('div', { class: 'tl-row tl-scale' }, element('span', { class: 'tl-head' }),
      element('div', {}, ...parts.map((part) => element('span', {}, clock(part * this.seconds)))));
  }

  // Moves the handle to a time, and what is begun up to it.
  at(seconds) {
    this.time = seconds;
    const share = Math.min(1, seconds / this.seconds);
    this.hand.style.setProperty('--at', share);
    if (this.begun?.isConnected) {
      const [from, to] = [this.begun.start, seconds].sort((a, b) => a - b);
      this.begun.style.setProperty('--from', percent(from / this.seconds, 4));
      this.begun.style.setProperty('--width', percent((to - from) / this.seconds, 4));
    }
    if (this.zoom === 1) return;
    const { root } = this;
    const head = this.head;
    const x = head + share * (this.inner.clientWidth - head) - root.scrollLeft;
    if (x < head || x > root.clientWidth) root.scrollLeft += x - (head + root.clientWidth) / 2;
  }

  get head() { return this.rows.querySelector('.tl-head')?.offsetWidth ?? 0; }

  zoomed(count) {
    const at = ZOOMS.indexOf(this.zoom) + count;
    this.zoom = ZOOMS[Math.min(Math.max(at, 0), ZOOMS.length - 1)];
    this.inner.style.setProperty('--zoom', this.zoom);
    this.at(this.time ?? 0);
  }

  secondsAt(event) {
    const box = this.rows.querySelector('.tl-lane').getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(share, 0), 1) * this.seconds;
  }

  // What a pointer does: it drags an edge, chooses a bout, draws one, or goes to a moment.
  press(event) {
    const lane = event.target.closest('.tl-lane');
    if (!lane || event.button) return;
    const button = event.target.closest('.tl-bout');
    const side = event.target.dataset.edge;
    this.dragged = false; // whose click, at the end, is none
    if (button && !side) return; // its click chooses it
    event.preventDefault();
    const from = this.secondsAt(event);
    const begin = event.clientX;
    let drawn = null; // the item as it would be, once the pointer has moved
    const moved = (each) => {
      if (!drawn && Math.abs(each.clientX - begin) < DRAWN_PX) return;
      if (!button && lane.dataset.lane === undefined) return; // nothing is drawn on predictions
      this.dragged = true;
      const now = this.secondsAt(each);
      drawn = button ? this.edged(this.items.get(button.dataset.id), side, now)
        : { start: Math.min(from, now), end: Math.max(from, now) };
      const shown = button ?? this.ghost(lane);
      shown.style.setProperty('--from', percent(drawn.start / this.seconds, 4));
      shown.style.setProperty('--width', percent((drawn.end - drawn.start) / this.seconds, 4));
      this.told.seek(button ? drawn[side] : now);
    };
    const done = (each) => {
      for (const name of ['pointermove', 'pointerup', 'pointercancel']) {
        window.removeEventListener(name, name === 'pointermove' ? moved : done);
      }
      this.drawing?.remove();
      this.drawing = null;
      if (each.type === 'pointercancel') this.told.seek(this.time);
      else if (!drawn) this.told.seek(from);
      else if (button) this.told.edged(this.items.get(button.dataset.id), side, drawn[side]);
      else this.told.drawn(this.labelled(lane, drawn));
    };
    window.addEventListener('pointermove', moved);
    window.addEventListener('pointerup', done);
    window.addEventListener('pointercancel', done);
  }

  edged(each, side, now) {
    return side === 'start' ? { ...each, start: Math.min(now, each.end - LEAST_SECONDS) }
      : { ...each, end: Math.max(now, each.start + LEAST_SECONDS) };
  }

  ghost(lane) {
    if (!this.drawing) {
      this.drawing = element('i', { class: 'tl-begun', '--hue': hue(lane.dataset.lane - 1) });
      lane.append(this.drawing);
    }
    return this.drawing;
  }

  labelled(lane, { start, end }) {
    const number = Number(lane.dataset.lane);
    return item(start, end, number ? this.classes[number - 1] : null);
  }
}
