// The player: shows frames of a video on a canvas, steps and plays.
import { Frames } from './frames.js';

const WAITED_MS = 120; // for a frame: longer is no playing, the clock stands still meanwhile
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];

export class Player {
  // shown(frame) is called for each frame that is shown, failed(sentence) where there is none,
  // and playing(yes) when it starts and stops.
  constructor(canvas, { shown, failed, playing }) {
    this.canvas = canvas;
    this.told = { shown, failed, playing };
    this.speed = 1;
    this.frame = null;
    this.steps = 0; // that are still to do
    this.run = 0; // counts what takes over from what was played before
    this.on = false;
  }

  async open(name, seconds = 0) {
    this.pause();
    this.run += 1;
    this.frames = new Frames(name);
    this.frame = null;
    await this.seek(seconds);
  }

  // Shows the frame of a time; of several that are wanted meanwhile the last one.
  seek(seconds) {
    this.steps = 0;
    return this.show(() => this.frames.at(seconds));
  }

  show(wanted) {
    this.wanted = wanted;
    this.looking ??= this.look().finally(() => { this.looking = null; });
    return this.looking;
  }

  async look() {
    while (this.wanted) {
      const { wanted } = this;
      this.wanted = null;
      try {
        await this.draw(await wanted());
      } catch (error) {
        this.told.failed(error.message);
      }
    }
  }

  async draw(frame) {
    const { frames } = this;
    const picture = await frames.picture(frame);
    if (frames !== this.frames) return; // another video was opened
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      Object.assign(this.canvas, { width: picture.width, height: picture.height });
    }
    this.canvas.getContext('2d').drawImage(picture, 0, 0);
    this.canvas.setAttribute('aria-label', `frame at ${frame.time.toFixed(3)} s`);
    this.frame = frame;
    this.told.shown(frame);
  }

  // Goes some frames on, or back; steps that are asked for meanwhile are all done.
  step(count) {
    this.pause();
    if (!this.frame) return;
    this.steps += count;
    this.show(async () => {
      let { frame } = this;
      while (this.steps) {
        const sign = Math.sign(this.steps);
        this.steps -= sign;
        frame = await (sign > 0 ? this.frames.after(frame) : this.frames.before(frame));
      }
      return frame;
    });
  }

  faster(count) {
    const at = SPEEDS.indexOf(this.speed) + count;
    this.setSpeed(SPEEDS[Math.min(Math.max(at, 0), SPEEDS.length - 1)]);
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.on) this.play(); // from here, at the new speed
  }

  toggle() { if (this.on) this.pause(); else this.play(); }

  pause() {
    if (!this.on) return;
    this.on = false;
    this.run += 1;
    this.told.playing(false);
  }

  async play() {
    if (!this.frame) return;
    this.run += 1;
    const { run, frames } = this;
    this.on = true;
    this.told.playing(true);
    let { time } = this.frame.last ? { time: 0 } : this.frame;
    let base = performance.now();
    while (run === this.run) {
      const asked = performance.now();
      const due = time + (asked - base) / 1000 * this.speed;
      this.prefetch(due);
      try {
        const frame = await frames.at(due);
        const picture = frames.picture(frame);
        await picture;
        if (run !== this.run) return;
        if (frame !== this.frame) await this.draw(frame);
        if (performance.now() - asked > WAITED_MS) [time, base] = [frame.time, performance.now()];
        if (frame.last) this.pause();
      } catch (error) {
        this.pause();
        this.told.failed(error.message);
      }
      await new Promise(requestAnimationFrame);
    }
  }

  // Asks for the seconds that come next, before they are due.
  prefetch(seconds) {
    const here = Math.floor(seconds);
    for (let i = 1; i <= Math.ceil(2 * this.speed); i += 1) {
      this.frames.second(here + i).catch(() => {});
    }
  }
}
