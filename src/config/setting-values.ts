import { isIP } from 'node:net';
import { z } from 'zod';
import { parseSchedule, SCHEDULE_FORM, type Schedule } from '../utils/schedule';
import { CLIENT_VERSION_FORM, parseClientVersion } from '../utils/client-version';

export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`);

/** When something is done regularly. */
export const schedule = z.string().transform((text, context): Schedule => {
  const parsed = parseSchedule(text);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: `must be ${SCHEDULE_FORM}` });
  return z.NEVER;
});

export const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');

export const origins = z.string().transform((text, context) => {
  const list = text
    .split(',')
    .map((origin) => origin.trim())
    .filter(Boolean);
  for (const origin of list) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      context.addIssue({
        code: 'custom',
        message: `must list origins such as https://chat.example.org, not ${JSON.stringify(origin)}`,
      });
    }
  }
  return list;
});

/** The oldest allowed version of each client, as `web/1.4.0, ios/2.0.0`. */
export const minimumVersions = z.string().transform((text, context): ReadonlyMap<string, string> => {
  const minimums = new Map<string, string>();
  for (const part of text.split(',').map((each) => each.trim())) {
    const client = parseClientVersion(part);
    const message = !client
      ? `must list clients, of which each ${CLIENT_VERSION_FORM}, not ${JSON.stringify(part)}`
      : `must name ${client.name} once`;
    if (!client || minimums.has(client.name)) context.addIssue({ code: 'custom', message });
    else minimums.set(client.name, client.version);
  }
  return minimums;
});

/** `true`, `false`, a number of proxies, or addresses and subnets, as Express accepts them. */
export const trustProxy = z.string().transform((text, context): boolean | number | string => {
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^\d+$/.test(text)) return Number(text);
  if (!text.split(',').every((part) => isProxyAddress(part.trim()))) {
    context.addIssue({
      code: 'custom',
      message: 'must be true, false, a number of proxies, or addresses and subnets such as 10.0.0.0/8',
    });
  }
  return text;
});

/** Whether Express accepts it: an address, a subnet or the name of a subnet. */
function isProxyAddress(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  return family !== 0 && (prefix === undefined || (Number(prefix) >= 1 && Number(prefix) <= longest));
}
