// One tooltip for every bar: by pointer, by touch, and by the arrow keys.

import { byId } from '/static/dom.js';

const GAP = 8;

export function addTooltip(strip, textOf) {
  const at = (index) => {
    hide(strip);
    const bar = strip.children[index];
    if (!bar) return;
    bar.classList.add('at');
    strip.at = index;
    show(bar, textOf(index));
  };
  strip.addEventListener('pointerover', (event) => at([...strip.children].indexOf(event.target)));
  strip.addEventListener('pointerleave', () => hide(strip));
  strip.addEventListener('focus', () => strip.matches(':focus-visible') && at(strip.children.length - 1));
  strip.addEventListener('blur', () => hide(strip));
  strip.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') hide(strip);
    if (!step) return;
    event.preventDefault();
    at(Math.min(strip.children.length - 1, Math.max(0, (strip.at ?? 0) + step)));
  });
}

function show(bar, text) {
  const tip = byId('tip');
  tip.textContent = text;
  tip.hidden = false;
  const box = bar.getBoundingClientRect();
  const left = box.left + box.width / 2 - tip.offsetWidth / 2;
  const room = document.documentElement.clientWidth - tip.offsetWidth - GAP;
  tip.style.left = `${Math.max(GAP, Math.min(room, left))}px`;
  tip.style.top = `${Math.max(GAP, box.bottom - 28 - tip.offsetHeight - GAP)}px`;
}

function hide(strip) {
  byId('tip').hidden = true;
  strip.querySelector('.at')?.classList.remove('at');
}
