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

// Gives what was done; an error has `message`, `hint` and the paths of a conflict.
export async function decide(id, verb, body = {}) {
  const answer = await fetch(`/api/runs/${encodeURIComponent(id)}/${verb}`, {
    method: 'POST',
    signal: AbortSignal.timeout(DECISION_MS_MAX),
    headers: { accept: 'application/json', 'content-type': 'application/json', ...signed() },
    body: JSON.stringify({ who: 'dashboard', ...body }),
  });
  const data = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(data.error), { hint: data.hint, paths: data.paths ?? [] });
  return data;
}
