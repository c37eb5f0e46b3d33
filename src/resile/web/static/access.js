// The token that lets this page decide. It came behind the # of the link that `resile dashboard`
// prints, which no browser sends anywhere; it stays in this tab and leaves the address bar at once.

const KEY = 'resile-token';
const DECISION_MS_MAX = 120e3;

let token = '';

export function takeToken() {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  if (found) history.replaceState(null, '', location.pathname);
  token = found?.[1] ?? (token || recall());
  try {
    if (found) sessionStorage.setItem(KEY, token);
  } catch {
    // A browser that keeps nothing asks again after a reload.
  }
}

function recall() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

export function signed() {
  return token ? { 'X-Resile-Token': token } : {};
}

export function decide(id, verb, body = {}) {
  return send(`/api/runs/${encodeURIComponent(id)}/${verb}`, { who: 'dashboard', ...body });
}

// Asks, or with a body has something done; an error has `message`, `hint` and the paths of a conflict.
export async function send(path, body = null, waitMs = DECISION_MS_MAX) {
  const answer = await fetch(path, {
    method: body ? 'POST' : 'GET',
    signal: AbortSignal.timeout(waitMs),
    headers: { accept: 'application/json', ...(body && { 'content-type': 'application/json' }), ...signed() },
    body: body && JSON.stringify(body),
  });
  const data = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(data.error), { hint: data.hint, paths: data.paths ?? [] });
  return data;
}
