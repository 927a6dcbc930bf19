import type { LinkPreview } from '../../models/writing/link-preview.model';
import { parseWebAddress } from '../../utils/web-address';
import { readHead } from './head-reader';
import type { WebPage } from './link-fetcher';

const MAX_TITLE = 200;
const MAX_DESCRIPTION = 500;
const MAX_URL = 2048;

/** What is read of a page: the first of each name, in the order of preference. */
const NAMES = {
  title: ['og:title', 'twitter:title'],
  description: ['og:description', 'twitter:description', 'description'],
  image: ['og:image:secure_url', 'og:image', 'twitter:image'],
  site: ['og:site_name', 'application-name'],
} as const;
const ALL_NAMES = new Set<string>(Object.values(NAMES).flat());

/**
 * Reads what a page says of itself. It is text, whatever the page makes of it: nothing of it is HTML.
 * @param link as it stands in the message.
 * @returns null if the page says nothing.
 */
export async function summarise(link: string, page: WebPage): Promise<LinkPreview | null> {
  const { meta, title: heading } = await readHead(page.html, ALL_NAMES);
  const first = (names: readonly string[]) => names.map((name) => meta.get(name)).find(Boolean);
  const title = plain(first(NAMES.title) ?? heading, MAX_TITLE);
  if (title === '') return null;
  return {
    url: link,
    title,
    description: plain(first(NAMES.description) ?? '', MAX_DESCRIPTION),
    imageUrl: imageUrl(first(NAMES.image), page.url),
    siteName: plain(first(NAMES.site) ?? new URL(page.url).hostname, MAX_TITLE),
  };
}

/** One line of text without characters that control or turn others around, cut between characters. */
function plain(text: string, max: number): string {
  const line = text
    .slice(0, 10 * max)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Bidi_Control}\s]+/gu, ' ')
    .trim();
  const points = [...line];
  return points.length <= max
    ? line
    : `${points
        .slice(0, max - 1)
        .join('')
        .trimEnd()}…`;
}

function imageUrl(text: string | undefined, base: string): string | null {
  const url = text === undefined ? undefined : parseWebAddress(text.trim(), base);
  return url && /^https?:$/.test(url.protocol) && url.href.length <= MAX_URL ? url.href : null;
}
