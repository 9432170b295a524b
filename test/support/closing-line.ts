/** The end of every test run: each skipped test with its reason, then `N passed, N failed, N skipped` alone on a line. */
import type { Reporter, TestModule } from "vitest/node";

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    const skipped: string[] = [];
    for (const module of modules) {
      let ranAny = false;
      for (const test of module.children.allTests()) {
        ranAny = true;
        const result = test.result();
        if (result.state === "passed") passed += 1;
        else if (result.state === "skipped") skipped.push(reasonOf(test.fullName, result.note));
        else failed += 1;
      }
      // A file that fails to load, or a suite whose hooks fail, has no failed test of its own.
      const moduleFailed = module.errors().length > 0 || (!ranAny && module.state() === "failed");
      if (moduleFailed) failed += 1;
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) failed += 1;
    }
    if (skipped.length > 0) console.log(`\nSkipped, with reasons:\n${skipped.map((line) => `  - ${line}`).join("\n")}`);
    console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  }
}

function reasonOf(name: string, note: string | undefined): string {
  return note === undefined || note === "" ? name : `${name}: ${note}`;
}
