import type { Attack } from '../attack';
import { links } from './links';
import { logIns } from './log-ins';
import { pages } from './pages';
import { peers } from './peers';
import { pictures } from './pictures';

/** All attacks, by their names for `--attacks`. */
export const ATTACKS: Record<string, Attack> = { peers, links, pages, 'log-ins': logIns, pictures };
