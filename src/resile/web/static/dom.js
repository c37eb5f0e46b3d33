// The page's elements. Whatever comes from outside goes in as text, never as markup.

import { ago, moment } from '/static/format.js';

const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

export function el(tag, className = '', ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function mark(state, className = 'mark') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', className);
  svg.setAttribute('aria-hidden', 'true');
  const use = svg.appendChild(document.createElementNS(SVG, 'use'));
  setMark(use, state);
  return svg;
}

export function setMark(use, state) {
  setAttribute(use, 'href', `#s-${state}`);
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// A relative time that ticks; the absolute one is its tooltip.
export function setTime(node, iso, write = ago) {
  setAttribute(node, 'datetime', iso ?? null);
  setAttribute(node, 'title', iso ? moment(iso) : null);
  node.write = write;
  tick(node);
}

export function tickAll() {
  for (const node of document.querySelectorAll('time')) if (node.write) tick(node);
}

function tick(node) {
  const iso = node.getAttribute('datetime');
  setText(node, iso ? node.write(iso, Date.now()) : '');
}

// Make the list's children match the items: by key, in order, touching only what differs.
export function sync(list, items, keyOf, create, update) {
  const known = new Map([...list.children].map((node) => [node.key, node]));
  let place = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = known.get(key) ?? Object.assign(create(item), { key });
    known.delete(key);
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
}

export function showEmpty(list, text, command = '') {
  const node = el('li', 'empty', text);
  if (command) node.append(el('br'), el('code', '', command));
  list.replaceChildren(node);
}
