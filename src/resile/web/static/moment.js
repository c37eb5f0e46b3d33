// A folder at any moment: which one and when, what going back would change, and going back.

import { byId, el, sync } from '/static/dom.js';
import { clock, localInput, moment, plural } from '/static/format.js';
import { visible } from '/static/usage.js';
import { carryOut, compare, createParts, forget, showWayBack } from '/static/way_back.js';

const AT_FIRST_MS = 5 * 60e3;

export function createMoment(page) {
  const form = byId('moment');
  form.append(el('div', 'body', ...createParts()));
  Object.assign(form, {
    buttons: { now: { work: (node) => compareNow(node) } },
    show: () => showMoment(form, page),
  });
  // The limits are for the picker. Whoever answers knows the snapshots of now, and refuses in words.
  form.noValidate = true;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (form.at.validity.valueMissing) form.at.reportValidity();
    else if (!form.busy) carryOut('now', form, page);
  });
  for (const field of [form.source, form.at]) field.addEventListener('input', () => leave(form));
  return form;
}

// The folders that have snapshots; the choice that was made stays.
export function updateMoment(form, snapshots, page) {
  const own = snapshots.filter((one) => !one.is_safety);
  const sources = [...new Set(own.map((one) => one.source))];
  byId('moment-section').hidden = !page.mayDecide || !sources.length;
  sync(form.source, sources, (source) => source, (source) => Object.assign(el('option', '', visible(source)), { value: source }), () => {});
  const oldest = own.filter((one) => one.source === form.source.value).at(-1);
  form.at.max = localInput(Date.now());
  form.at.min = oldest ? localInput(Date.parse(oldest.started_at)) : '';
  // Not before the first snapshot; a second later, as the field has whole seconds.
  const first = oldest ? Date.parse(oldest.started_at) + 1e3 : 0;
  if (!form.at.value) form.at.value = localInput(Math.max(Date.now() - AT_FIRST_MS, first));
  form.show();
}

function showMoment(form, page) {
  form.querySelector('[type=submit]').disabled = Boolean(form.busy);
  form.querySelector('[type=submit]').textContent = form.busy === 'now' ? 'Comparing…' : 'Compare with now';
  showWayBack(form, page, []);
}

function leave(form) {
  if (form.busy) return;
  forget(form);
  for (const name of ['.basis', '.restored', '.failed']) form.querySelector(name).textContent = '';
  form.show();
}

async function compareNow(form) {
  const wish = { source: form.source.value, at: new Date(form.at.value).toISOString() };
  form.point = { path: '/api/store/moments', query: wish, wish };
  form.querySelector('.basis').textContent = '';
  await compare(form, 'live');
  form.querySelector('.basis').replaceChildren(...basisOf(form.diff.moment));
}

function basisOf({ base_at: baseAt, replayed, until, is_logged: isLogged, gap, problem }) {
  const after = replayed ? `, and ${plural(replayed, 'commit')} after it, the last at ${clock(until)}` : isLogged ? '; nothing was committed after it' : '; its folder has no log of what came after it';
  const warnings = [gap, problem && `Not replayed any further: ${problem}`].filter(Boolean);
  return [`From the snapshot of ${moment(baseAt)}${after}.`, ...warnings.map((text) => el('b', 'warned', ` ${visible(text)}.`))];
}
