import type { Attack } from '../attack';
import { links } from './links';
import { logIns } from './log-ins';
import { pages } from './pages';
import { peers } from './peers';
import { pictures } from './pictures';

/** All attacks, by the name that `--attacks` takes. */
export const ATTACKS: Record<string, Attack> = { peers, links, pages, 'log-ins': logIns, pictures };
