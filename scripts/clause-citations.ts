// Finds the clauses that test titles cite in square brackets, `[CONN-01 W4.6]`, and what is wrong with
// the citations: a clause that does not exist, a range. Pure functions over text.

import ts from 'typescript';

const BRACKETS = /\[([^[\]]+)\]/g;
const CLAUSE = /^(?:[A-Z]{2,}-\d{2,}|W\d+(?:\.\d+)+[a-z]?)$/;
/** Looks meant as a clause, whether or not it is one: `WSPSEND-01..03`, `W4.6-4.8`. */
const CLAUSE_LIKE = /^(?:[A-Z]{2,}-\d{2,}|W\d+\.\d)/;

export interface Citations {
  readonly clauses: readonly string[];
  /** Words that stand where a clause should and are none. */
  readonly malformed: readonly string[];
}

/** The clauses that one title cites. Brackets that hold no clause are ordinary text. */
export function citationsIn(title: string): Citations {
  const groups = [...title.matchAll(BRACKETS)].map((match) => (match[1] ?? '').split(/[\s,]+/));
  const words = groups.filter((group) => group.some((word) => CLAUSE_LIKE.test(word))).flat();
  return {
    clauses: words.filter((word) => CLAUSE.test(word)),
    malformed: words.filter((word) => !CLAUSE.test(word)),
  };
}

/** One sentence for each wrong citation of a title. */
export function citationProblems(title: string, known: ReadonlySet<string>): string[] {
  const { clauses, malformed } = citationsIn(title);
  return [
    ...malformed.map((word) => `${word} is not one clause (ranges are not allowed)`),
    ...clauses.filter((id) => !known.has(id)).map((id) => `${id} is not in the specification`),
  ];
}

/** Every piece of string text in a TypeScript source: titles are written there, or built from there. */
export function stringsIn(source: string): string[] {
  const strings: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) strings.push(node.text);
    else if (ts.isTemplateMiddleOrTemplateTail(node)) strings.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('test.ts', source, ts.ScriptTarget.Latest));
  return strings;
}
