// Which key does what, wherever the focus is, but where keys mean something of their own.

// Calls works[key](event), number(0 to 9), undo() or redo(), as long as ready() says so.
export function listenToKeys(works, { undo, redo, number }, ready) {
  document.addEventListener('keydown', (event) => {
    const { target, key } = event;
    if (!ready() || event.altKey) return;
    if (target.closest('input:not([type=checkbox]), select')) return;
    if ((key === ' ' || key === 'Enter') && target.closest('button, summary, input')) return;
    let work = works[key];
    if (event.ctrlKey || event.metaKey) {
      const letter = key.toLowerCase();
      const again = letter === 'y' || (letter === 'z' && event.shiftKey);
      if (again) work = redo;
      else work = letter === 'z' ? undo : null;
    } else if (/^[0-9]$/.test(key)) work = () => number(Number(key));
    if (!work) return;
    event.preventDefault();
    work(event);
  });
}
