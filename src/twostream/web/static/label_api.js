// What the label page asks of the server.
import { reason, SILENT } from './api.js';

const BASE = 'api/label';

// Returns {status, value}; throws where there is no answer, or a refusal that is not `expected`.
async function ask(path, { method = 'GET', body, expected = 0 } = {}) {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const answer = await fetch(`${BASE}${path}`, { method, headers, body: JSON.stringify(body) })
    .catch(() => { throw new Error(SILENT); });
  const text = await answer.text();
  if (!answer.ok && answer.status !== expected) throw new Error(reason(answer.status, text));
  return { status: answer.status, value: JSON.parse(text) };
}

const named = (path, name) => `${path}?name=${encodeURIComponent(name)}`;

export const getOverview = async () => (await ask('')).value;
export const getLabels = async (name) => (await ask(named('/video', name))).value;
export const getProposals = async () => (await ask('/proposals')).value;
export const startTraining = async () => (await ask('/training', { method: 'POST' })).value;
export const startUpdate = async () => (await ask('/update', { method: 'POST' })).value;
export const stopTraining = async () => (await ask('/training', { method: 'DELETE' })).value;
export async function changeClasses(body) {
  return (await ask('/classes', { method: 'POST', body })).value;
}

// Status 409: others have changed them; the value has what there is `now`.
export const putLabels = (name, body) => ask(named('/video', name),
  { method: 'PUT', body, expected: 409 });

// Returns the frames that begin in a second of a video: what label_frames.py tells of them, and
// `jpegs`, a Blob each.
export async function getFrames(name, second) {
  const answer = await fetch(`${BASE}${named('/frames', name)}&second=${second}`)
    .catch(() => { throw new Error(SILENT); });
  if (!answer.ok) throw new Error(reason(answer.status, await answer.text()));
  const data = await answer.arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  told.jpegs = told.sizes.map((size) => {
    at += size;
    return new Blob([new Uint8Array(data, at - size, size)], { type: 'image/jpeg' });
  });
  return told;
}
