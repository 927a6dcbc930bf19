import type { Visibility } from '../../models/group.model';

/** Sample names, and parts of sentences that can be combined freely: an opening, a subject and a tail. */

export const PEOPLE: readonly [first: string, last: string][] = [
  ['Ada', 'Okafor'],
  ['Bruno', 'Lind'],
  ['Chiara', 'Moretti'],
  ['Dmitri', 'Sokolov'],
  ['Elif', 'Demir'],
  ['Femi', 'Adeyemi'],
  ['Greta', 'Nilsen'],
  ['Hiro', 'Tanaka'],
  ['Ines', 'Carvalho'],
  ['Jonas', 'Weber'],
  ['Kavya', 'Rao'],
  ['Liam', 'Byrne'],
  ['Mei', 'Zhang'],
  ['Noor', 'Haddad'],
  ['Oscar', 'Fuentes'],
  ['Priya', 'Menon'],
  ['Quentin', 'Leroy'],
  ['Rosa', 'Vargas'],
  ['Sven', 'Berg'],
  ['Tala', 'Reyes'],
];

export const GROUPS: readonly { name: string; description: string; visibility: Visibility }[] = [
  { name: 'Workshop', description: 'Where things are built.', visibility: 'public' },
  { name: 'Reading circle', description: 'One book a month.', visibility: 'public' },
  { name: 'Harbour crew', description: 'Shifts, boats and weather.', visibility: 'private' },
  { name: 'Board', description: 'Decisions and minutes.', visibility: 'private' },
];

export const CHANNELS: readonly { name: string; topic: string; visibility: Visibility }[] = [
  { name: 'general', topic: 'Everything that concerns everybody', visibility: 'public' },
  { name: 'questions', topic: 'Ask; somebody knows', visibility: 'public' },
  { name: 'off topic', topic: '', visibility: 'public' },
  { name: 'planning', topic: 'For those who plan', visibility: 'private' },
];

export const OPENINGS: readonly [string, ...string[]] = [
  'I have looked at',
  'Has anybody seen',
  'We should talk about',
  'Good news on',
  'One more thing on',
  'I am not sure about',
  'Here is what I know of',
  'Thanks for',
  'Can we postpone',
  'I will take care of',
];

export const SUBJECTS: readonly [string, ...string[]] = [
  'the new schedule',
  'the leaking pump',
  'chapter seven',
  'the café bill',
  'the release',
  'the meeting notes',
  'the photos of Saturday 📷',
  'the budget',
  'the broken link',
  'the spare keys',
];

export const TAILS: readonly [string, ...string[]] = [
  'and it looks fine.',
  'before Friday, please.',
  'when everybody is back.',
  '— see the document.',
  'again. Sorry!',
  'as we agreed.',
  'if nobody minds.',
  'with a cup of tea in hand.',
  'today or tomorrow.',
  'and tell me what you think.',
];
