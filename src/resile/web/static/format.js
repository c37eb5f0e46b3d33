// Numbers and times as people read them. Pure functions.

const UNITS = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];

export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  let rest = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

// For what takes a few milliseconds.
export function latency(seconds) {
  return seconds < 0.01 ? `${(seconds * 1000).toFixed(1)} ms` : duration(seconds);
}

// Coarse on purpose: it stands beside things that tick.
export function span(seconds) {
  const [unit, size] = UNITS.find(([, least]) => seconds >= least) ?? ['s', 1];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

export function ago(iso, now) {
  const seconds = (now - Date.parse(iso)) / 1000;
  return seconds < 1 ? 'just now' : `${span(seconds)} ago`;
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

export function moment(iso) {
  const at = new Date(iso);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(iso)}`;
}

// As a field for a local time wants it.
export function localInput(ms) {
  return moment(new Date(ms).toISOString()).replace(' ', 'T');
}

export function bytes(size) {
  const [unit, scale] = [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]].find(([, least]) => size >= least) ?? ['B', 1];
  const value = size / scale;
  return `${value < 10 && scale > 1 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

// Rounded down: 99.999 % is not 100 %.
export function share(ratio) {
  if (ratio === null || ratio === undefined) return '–';
  return ratio >= 1 ? '100 %' : `${(Math.floor(ratio * 10000) / 100).toFixed(2)} %`;
}

export function percent(ratio) {
  return `${(ratio * 100).toFixed(1)} %`;
}

export function count(number) {
  return number.toLocaleString('en-US');
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}

function two(number) {
  return String(number).padStart(2, '0');
}
