import ArgumentParser
import Service

/// How long results are kept; of `maintain`, and of `serve` for the private cluster.
struct RetentionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Drop months of results that are older than this. (default: keep everything)", valueName: "months"))
  var retentionMonths: Int?

  /// The flag, or its twin in the environment; nil to keep everything.
  var months: Int? {
    get throws {
      let twin = twin(of: "retention-months")
      var months = retentionMonths
      if months == nil, let text = environment(twin) {
        guard let number = Int(text) else { throw ValidationError("\(twin) is \"\(text)\"; it must be a number") }
        months = number
      }
      if let months, !Maintenance.retentionMonthsRange.contains(months) {
        let range = Maintenance.retentionMonthsRange
        throw ValidationError("Results are kept for \(range.lowerBound) to \(range.upperBound) months, not \(months).")
      }
      return months
    }
  }

  func validate() throws { _ = try months }
}

struct Maintain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes partitions ahead, drops old results and removes what is not needed any more.",
    discussion: """
      To be run every day as the owner of the tables; `serve` does it by itself for the private cluster only. Works \
      while the service runs, and does nothing the second time. No score moves: what dropped results contributed is \
      carried on. But they are gone, and so are scores as of times before them.
      """)

  @OptionGroup var retention: RetentionOptions

  @Flag(help: "Only reports what would be done.")
  var dryRun = false

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let isDryRun = try flag(dryRun, "dry-run")
    let maintenance = Maintenance(retentionMonths: try retention.months, isDryRun: isDryRun)
    try await withService(common) { try await $0.maintain(maintenance) { print($0) } }
  }
}
