import JSON
import RiskModel

/// What the scoring engine costs, as rows of a Markdown table.
///
/// The works take turns in every round, so that what else the machine does meanwhile falls on all of them; medians over
/// the rounds are printed, and of two works the median of the rounds' ratios.
///
/// usage: EngineBenchmark [ROUNDS] < METHODOLOGY
@main struct Engine {
  static func main() throws {
    let rounds = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 0 : 7
    precondition(rounds >= 5, "a median over fewer than 5 rounds says little")
    var document = ""
    while let line = readLine(strippingNewline: false) { document += line }
    let methodology = try Methodology(JSONReader.read([UInt8](document.utf8)).value)
    let workload = Workload(methodology)

    let assess = Work(repetitions: 2_000) { workload.methodology.assess(workload.full, at: workload.now).score }
    let silent = Work(repetitions: 2_000) { workload.methodology.assess(workload.empty, at: workload.now).score }
    let build = Work(repetitions: 500) { Double(workload.evidence().sources.count) }
    let foldFew = Work(repetitions: 200_000) { workload.folded(into: workload.cellOfOne) }
    let foldMany = Work(repetitions: 200_000) { workload.folded(into: workload.cellOfAMillion) }
    let standing = Work(repetitions: 200_000) { workload.standing() }
    let works = [assess, silent, build, foldFew, foldMany, standing]
    for work in works { work.warmUp() }
    for _ in 0..<rounds { for work in works { work.measure() } }

    let size = "\(methodology.checks.count) checks, \(Workload.sources) sources, \(Workload.targets) targets"
    print("| work | median | against | goal |\n|---|---|---|---|")
    row("one evaluation: \(size)", assess.median, "", "at most 100 us")
    row(
      "one evaluation of a silent provider", silent.median,
      "the one above: \(assess.ratio(to: silent).rounded(places: 1)) times as long", "")
    row("sorting \(workload.entries.count) cells into evidence, once a change", build.median, "", "")
    row("folding one result into a sample's cell of one result", foldFew.median, "", "at most 1 us")
    row(
      "folding one result into a sample's cell of a million", foldMany.median,
      "the one above: \(foldMany.ratio(to: foldFew).rounded(places: 2)) times", "the same")
    row("folding one result into a state's cell", standing.median, "", "at most 1 us")
    print("| allocations of one evaluation | \(assess.allocations) | silent: \(silent.allocations) | none |")
    print("| allocations of folding one result | \(foldFew.allocations) | | none |")
  }

  private static func row(_ work: String, _ seconds: Double, _ against: String, _ goal: String) {
    let time = seconds < 1e-6 ? "\((seconds * 1e9).rounded(places: 1)) ns" : "\((seconds * 1e6).rounded(places: 1)) us"
    print("| \(work) | \(time) | \(against) | \(goal) |")
  }
}
