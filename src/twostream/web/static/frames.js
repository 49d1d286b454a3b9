// The frames of one video, asked for second by second and kept for a while.
import { getFrames } from './label_api.js';

export const EPSILON = 0.0006; // seconds: label files round to milliseconds
const SECONDS_KEPT = 60;
const PICTURES_KEPT = 90;

export class Frames {
  constructor(name) {
    this.name = name;
    this.seconds = new Map(); // number -> promise of what the server tells
    this.pictures = new Map(); // time of a frame -> promise of its bitmap
  }

  // Returns what the server tells of a second; a failure is not kept.
  second(number) {
    let found = this.seconds.get(number);
    if (!found) {
      found = getFrames(this.name, number);
      found.catch(() => this.seconds.delete(number));
      this.seconds.set(number, found);
      if (this.seconds.size > SECONDS_KEPT) this.seconds.delete(this.seconds.keys().next().value);
    }
    return found;
  }

  // Returns {time, end, last, jpeg, told} of the frame that is shown at a time: the first or last
  // one outside the video.
  async at(seconds) {
    const number = Math.max(0, Math.floor(seconds + EPSILON));
    const told = await this.second(number);
    let i = told.times.length - 1;
    while (i >= 0 && told.times[i] > seconds + EPSILON) i -= 1;
    if (i < 0 && told.before !== null) return this.at(told.before);
    if (i < 0 && number > 0) return this.at(number - 2 * EPSILON);
    if (i < 0 && !told.times.length && told.after !== null) return this.at(told.after);
    i = Math.max(i, 0);
    if (!told.times.length) throw new Error(`${this.name} has no frame`);
    const time = told.times[i];
    const after = told.times[i + 1] ?? told.after;
    const end = after ?? told.end ?? time + 1 / told.fps;
    return { time, end, last: after === null, jpeg: told.jpegs[i], told };
  }

  before(frame) { return this.at(Math.max(0, frame.time - 2 * EPSILON)); }

  after(frame) { return frame.last ? Promise.resolve(frame) : this.at(frame.end); }

  picture(frame) {
    let found = this.pictures.get(frame.time);
    if (!found) {
      found = createImageBitmap(frame.jpeg);
      this.pictures.set(frame.time, found);
      if (this.pictures.size > PICTURES_KEPT) {
        const [oldest, picture] = this.pictures.entries().next().value;
        this.pictures.delete(oldest);
        picture.then((bitmap) => bitmap.close(), () => {});
      }
    }
    return found;
  }
}
