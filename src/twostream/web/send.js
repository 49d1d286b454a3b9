const said = (text) => { element.querySelector('#ts-said').textContent = text; };

function send(file) {
  const box = element.querySelector('.ts-send');
  if (file.size > Number(box.dataset.maxBytes)) {
    said(`${file.name} is larger than ${box.dataset.maxMb} MB: cut it`);
    return;
  }
  const request = new XMLHttpRequest();
  request.open('POST', `api/upload?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader('Content-Type', 'application/octet-stream');
  request.upload.onprogress = (event) => {
    said(`sending ${file.name}: ${Math.round(100 * event.loaded / event.total)}%`);
  };
  request.onerror = () => said(`${file.name} could not be sent: the server does not answer`);
  request.onload = () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch (error) { /* said below */ }
    if (request.status === 200) {
      said(file.name);
      trigger('sent', { token: answer.token, name: file.name });
    } else {
      said(`${file.name} was not taken: ${answer.error || `status ${request.status}`}`);
    }
  };
  request.send(file);
}

element.addEventListener('change', (event) => {
  if (event.target.matches('#ts-file') && event.target.files.length) {
    send(event.target.files[0]);
    event.target.value = '';  // the same file may be chosen again
  }
  if (event.target.matches('select') && event.target.value) {
    said(event.target.selectedOptions[0].textContent);
    trigger('picked', { index: Number(event.target.value) });
  }
});
for (const name of ['dragover', 'dragleave', 'drop']) {
  element.addEventListener(name, (event) => {
    event.preventDefault();
    element.querySelector('.ts-drop').classList.toggle('ts-over', name === 'dragover');
    if (name === 'drop' && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
