// What the page asks of the server.

export const SILENT = 'the server does not answer';

// The sentence of a refusal; a proxy's page, perhaps, has none.
export function reason(status, text) {
  try { return JSON.parse(text).error; } catch { return `status ${status}`; }
}

async function get(path) {
  const answer = await fetch(path).catch(() => { throw new Error(SILENT); });
  const text = await answer.text();
  if (!answer.ok) throw new Error(reason(answer.status, text));
  return JSON.parse(text);
}

export const getModel = () => get('api/model');

export const getMoment = (key, seconds) => get(`api/videos/${key}/moment?seconds=${seconds}`);

// Has a video shown: a file, or one of the server's own by its number. The answer comes in lines:
// {task, done, total, detail} now and then, and at last the result or {error}. Calls sent(share),
// told(line), and refused(why) where there is no answer; returns what ends it all.
export function showVideo(video, { sent, told, refused }) {
  const path = video instanceof File ? `?name=${encodeURIComponent(video.name)}` : `/${video}`;
  const request = new XMLHttpRequest(); // fetch does not tell how much is sent
  let read = 0;
  request.open('POST', `api/videos${path}`);
  request.upload.onprogress = (event) => sent(event.loaded / event.total);
  request.onprogress = () => {
    if (request.status !== 200) return;
    for (const line of request.responseText.slice(read).split('\n').slice(0, -1)) {
      read += line.length + 1;
      told(JSON.parse(line));
    }
  };
  request.onload = () => {
    if (request.status !== 200) refused(reason(request.status, request.responseText));
  };
  request.onerror = () => refused(SILENT);
  request.setRequestHeader('Content-Type', 'application/octet-stream');
  request.send(video instanceof File ? video : null);
  return () => request.abort();
}
