// Reads the clauses of docs/spec/: which there are, and which of them a test has to show. Pure
// functions over text; it knows neither files nor tests. The forms are those stated in the headers of
// wsd-spec.md (`- **CONN-01** [MUST] text`) and winsock-spec.md (`4.6 text [S1]`, cited as W4.6).

/**
 * `must` and `fact` clauses are to be shown by a test; `option` ones (SHOULD, MAY) may be; `unsettled`
 * ones (unknown, or our own advice only) can be cited but count for nothing.
 */
export type ClauseKind = 'must' | 'fact' | 'option' | 'unsettled';

export interface Clause {
  /** As tests cite it: `CONN-01`, `W9.13.1`. */
  readonly id: string;
  readonly kind: ClauseKind;
  /** The group it is reported in: `CONN`, `W9`. */
  readonly section: string;
  /** What it says, on one line. */
  readonly text: string;
}

const WSD_CLAUSE = /^- \*\*([A-Z]+-\d+)\*\* \[([A-Z ]+)\] (.*)$/;

const WSD_KINDS: Readonly<Record<string, ClauseKind>> = {
  MUST: 'must',
  'MUST NOT': 'must',
  FACT: 'fact',
  SHOULD: 'option',
  'SHOULD NOT': 'option',
  MAY: 'option',
  UNKNOWN: 'unsettled',
};

/** The clauses of wsd-spec.md, in order. Throws on a requirement word it does not know. */
export function parseWsdSpec(markdown: string): Clause[] {
  return markdown.split('\n').flatMap((line) => {
    const match = WSD_CLAUSE.exec(line);
    if (match === null) return [];
    const [, id = '', word = '', text = ''] = match;
    const kind = WSD_KINDS[word];
    if (kind === undefined)
      throw new Error(`clause ${id} has the unknown requirement word ${word}`);
    return [{ id, kind, section: id.slice(0, id.indexOf('-')), text }];
  });
}

const HEADING = /^#{2,3} (.*)$/;
const NUMBERED = /^(\d+(?:\.\d+)+[a-z]?) (.*)$/;
const RULE = /^-{3,}$/;
/** A source tag: `[S1]`, `[W test_UDP 3187]`, `[I]`. */
const TAG = /\[(S\d|[DHWRNPI])(?: [^\]]*)?\]/g;
/** A clause that section 16 names alone in parentheses is unverified as a whole. */
const WHOLLY_UNVERIFIED = /\((\d+(?:\.\d+)+)\)/g;
const UNVERIFIED_SECTION = '16';

interface NumberedText {
  readonly number: string;
  readonly lines: string[];
  /** Its section is our own inference as a whole. */
  readonly isAdvice: boolean;
}

/** The clauses of winsock-spec.md, in order, `W` before their numbers. */
export function parseWinsockSpec(markdown: string): Clause[] {
  const lines = markdown.split('\n');
  const found: NumberedText[] = [];
  const unverified = new Set<string>();
  let section = { number: '', isAdvice: false };
  let current: NumberedText | null = null;
  lines.forEach((line, index) => {
    const heading = HEADING.exec(line)?.[1];
    if (heading !== undefined) {
      const [number, title] = splitNumber(heading);
      if (line.startsWith('## ')) section = { number, isAdvice: isAdviceOnly(title) };
      // A heading is a clause of its own when what follows it is a table.
      const isTable = number.includes('.') && nextText(lines, index).startsWith('|');
      current = isTable ? { number, lines: [title], isAdvice: section.isAdvice } : null;
      if (current !== null) found.push(current);
      return;
    }
    if (section.number === UNVERIFIED_SECTION) {
      for (const [, number = ''] of line.matchAll(WHOLLY_UNVERIFIED)) unverified.add(number);
      return;
    }
    const [, number, text = ''] = NUMBERED.exec(line) ?? [];
    if (number !== undefined && number.startsWith(`${section.number}.`)) {
      current = { number, lines: [text], isAdvice: section.isAdvice };
      found.push(current);
    } else if (current !== null && !RULE.test(line)) {
      current.lines.push(line);
    }
  });
  return found.map(({ number, lines, isAdvice }) => {
    const isSettled = !isAdvice && !unverified.has(number) && !isAdviceOnly(lines.join('\n'));
    return {
      id: `W${number}`,
      kind: isSettled ? 'must' : 'unsettled',
      section: `W${number.slice(0, number.indexOf('.'))}`,
      text: lines[0] ?? '',
    };
  });
}

function splitNumber(heading: string): [string, string] {
  const match = /^(\d+(?:\.\d+)*)\.? (.*)$/.exec(heading);
  return match === null ? ['', heading] : [match[1] ?? '', match[2] ?? ''];
}

function nextText(lines: readonly string[], index: number): string {
  return lines.slice(index + 1).find((line) => line.trim() !== '') ?? '';
}

/** Whether every source tag of a text is [I], our own inference. */
function isAdviceOnly(text: string): boolean {
  const tags = [...text.matchAll(TAG)].map((match) => match[1]);
  return tags.length > 0 && tags.every((tag) => tag === 'I');
}
