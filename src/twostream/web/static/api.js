// What the page asks of the server.

async function get(path) {
  const answer = await fetch(path);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

export const getModel = () => get('api/model');

export const getMoment = (key, seconds) => get(`api/videos/${key}/moment?seconds=${seconds}`);

// Has a video shown: a file, or one of the server's own by its number. The server answers with
// lines: progress ({task, done, total, detail}), then the result or {error}. Calls
// sending(share), told(line) and refused(why), and returns what ends it all.
export function showVideo(video, { sending, told, refused }) {
  const file = video instanceof File;
  const request = new XMLHttpRequest(); // fetch does not tell how much is sent
  let read = 0;
  request.open('POST', file ? `api/videos?name=${encodeURIComponent(video.name)}`
    : `api/videos/${video}`);
  request.upload.onprogress = (event) => sending(event.loaded / event.total);
  request.onprogress = () => {
    const lines = request.responseText.slice(read).split('\n').slice(0, -1);
    if (request.status !== 200) return;
    for (const line of lines) {
      read += line.length + 1;
      told(JSON.parse(line));
    }
  };
  request.onerror = () => refused('the server does not answer');
  request.onload = () => {
    if (request.status === 200) return;
    let why = `status ${request.status}`;
    try { why = JSON.parse(request.responseText).error; } catch { /* a proxy's page, perhaps */ }
    refused(why);
  };
  if (file) request.setRequestHeader('Content-Type', 'application/octet-stream');
  request.send(file ? video : null);
  return () => request.abort();
}
