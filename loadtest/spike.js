// A TV spot shows one symbol: from nothing to PEAK scans a second within RISE, held, and down again, all on one tag.
import { codes, number, options as shared, text } from './settings.js';
import { scan } from './scan.js';
import { summary } from './summary.js';

const peak = number('PEAK', 2000);
const [rise, hold, fall] = [text('RISE', '5s'), text('HOLD', '30s'), text('FALL', '30s')];
// Enough virtual users for answers of 200 ms; all made beforehand, since making them under load would slow the rise.
const users = number('VUS', Math.max(50, Math.ceil(peak / 5)));

export const options = shared(
  {
    executor: 'ramping-arrival-rate',
    startRate: 0,
    timeUnit: '1s',
    preAllocatedVUs: users,
    maxVUs: users,
    stages: [
      { target: peak, duration: rise },
      { target: peak, duration: hold },
      { target: 0, duration: fall },
    ],
  },
  { p99: 100, sent: '>0', dropped: peak / 10 },
);

export default function () {
  scan(codes[0]);
}

export function handleSummary(data) {
  return summary('spike', `to ${peak} scans a second in ${rise}, held ${hold}, down in ${fall}`, 1, data);
}
