import type { LinkPreview } from '../../models/writing/link-preview.model';
import { parseWebAddress } from '../../utils/web-address';
import { readHead } from './head-reader';
import type { WebPage } from './link-fetcher';

const MAX_TITLE_LENGTH = 200;
const MAX_DESCRIPTION_LENGTH = 500;
const MAX_URL_LENGTH = 2048;

/** The names of the `<meta>` elements that are read, in the order of preference. */
const META_NAMES = {
  title: ['og:title', 'twitter:title'],
  description: ['og:description', 'twitter:description', 'description'],
  image: ['og:image:secure_url', 'og:image', 'twitter:image'],
  site: ['og:site_name', 'application-name'],
} as const;
const ALL_NAMES = new Set<string>(Object.values(META_NAMES).flat());

/**
 * Extracts a preview from the head of a page. All of it is plain text, never HTML.
 * @param link the link as it is written in the message.
 * @returns null if the page has no title.
 */
export async function summarise(link: string, page: WebPage): Promise<LinkPreview | null> {
  const { meta, title: heading } = await readHead(page.html, ALL_NAMES);
  const first = (names: readonly string[]) => names.map((name) => meta.get(name)).find(Boolean);
  const title = plain(first(META_NAMES.title) ?? heading, MAX_TITLE_LENGTH);
  if (title === '') return null;
  return {
    url: link,
    title,
    description: plain(first(META_NAMES.description) ?? '', MAX_DESCRIPTION_LENGTH),
    imageUrl: imageUrl(first(META_NAMES.image), page.url),
    siteName: plain(first(META_NAMES.site) ?? new URL(page.url).hostname, MAX_TITLE_LENGTH),
  };
}

/** Converts a text to one line without control and bidirectional characters, truncated between characters. */
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
  return url && /^https?:$/.test(url.protocol) && url.href.length <= MAX_URL_LENGTH ? url.href : null;
}
