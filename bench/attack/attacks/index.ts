import type { Attack } from '../attack';
import { links } from './links';
import { logIns } from './log-ins';
import { pictures } from './pictures';

/** All attacks, by the name that `--attacks` takes. */
export const ATTACKS: Record<string, Attack> = { 'log-ins': logIns, pictures, links };
