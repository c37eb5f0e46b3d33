// A form that opens in a row before something is done: its fields, a button that does it, and what came of it.

import { el, setText } from '/static/dom.js';
import { visible } from '/static/usage.js';

const WHY_LENGTH_MAX = 200;

export function createBox() {
  const [failed, done] = [el('p', 'failed'), el('p', 'restored')];
  failed.setAttribute('role', 'alert');
  done.setAttribute('role', 'status');
  return el('div', 'steering', failed, done);
}

export function isAsking(box) {
  return Boolean(box.querySelector('form'));
}

export function showBox(box) {
  for (const name of ['.failed', '.restored']) box.querySelector(name).hidden = !box.querySelector(name).textContent;
}

export function createButton(label, className, onClick) {
  const button = Object.assign(el('button', className, label), { type: 'button' });
  button.addEventListener('click', () => onClick(button));
  return button;
}

export function createWhy(placeholder, label) {
  const why = Object.assign(document.createElement('input'), { required: true, maxLength: WHY_LENGTH_MAX, placeholder, autocomplete: 'off' });
  why.setAttribute('aria-label', label);
  return why;
}

export function createSelect(choices, label) {
  const select = el('select', '', ...choices.map(([value, text]) => Object.assign(el('option', '', text), { value })));
  select.setAttribute('aria-label', label);
  return select;
}

// `work` does it, and gives what is said then: [done, failed]. `show` shows the row anew when the form comes and goes.
export function openForm(box, { fields, note, label, style, work, show }, opener) {
  for (const name of ['.failed', '.restored']) box.querySelector(name).textContent = '';
  const submit = Object.assign(el('button', style, label), { type: 'submit' });
  const close = () => {
    form.remove();
    show();
    opener.focus();
  };
  const form = el('form', 'steer', ...fields, ...(note ? [note] : []), el('div', 'actions', submit, createButton('Cancel', '', close)));
  form.addEventListener('keydown', (key) => key.key === 'Escape' && close());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    carryOut(form, box, work).then(close);
  });
  box.prepend(form);
  show();
  (fields[0] ?? submit).focus();
}

async function carryOut(form, box, work) {
  for (const field of form.elements) field.disabled = true;
  try {
    const [done, failed] = await work();
    setText(box.querySelector('.restored'), done);
    setText(box.querySelector('.failed'), failed ?? '');
  } catch (error) {
    box.querySelector('.failed').replaceChildren(`${visible(error.message)}\n`, el('span', 'muted', visible(error.hint ?? '')));
  }
}
