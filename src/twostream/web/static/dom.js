// Small parts that all of the page is made of.

// Returns an element; attributes that begin with -- are set as properties of its style. Children
// that are no elements become text: no name is ever read as markup.
export function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('--')) made.style.setProperty(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;

export function clock(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

// The hue of a class in degrees, by its number: the golden angle sets neighbours far apart.
export const hue = (number) => Math.round(210 + number * 137.508) % 360;

// Fills a place anew only where that changes it, and nobody is just pressing what stands there;
// what is focused, or open, stays.
export function refill(place, children) {
  const made = element('div', {}, ...children);
  if (place.shown?.isEqualNode(made) || place.querySelector(':active')) return;
  place.shown = made.cloneNode(true);
  const opened = place.querySelector('details')?.open;
  const at = [...place.querySelectorAll('button')].indexOf(document.activeElement);
  place.replaceChildren(...made.childNodes);
  if (opened && place.querySelector('details')) place.querySelector('details').open = true;
  if (at >= 0) place.querySelectorAll('button')[at]?.focus({ preventScroll: true });
}
