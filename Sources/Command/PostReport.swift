import Glibc
import JSON

/// What is said of a run: each rejection, how far it is on a terminal, and one line at the end.
final class PostReport {
  /// A result that is not stored, and why.
  struct Rejection {
    /// `results.ndjson:17`.
    let origin: String
    let reason: String
    let faults: [JSONFault]
  }

  private static let progressEvery = Duration.milliseconds(200)

  private var accepted = 0
  private var duplicates = 0
  private var rejected = 0
  private var spooled = 0
  private var unsent = 0
  private let isTerminal = isatty(STDERR_FILENO) != 0
  private var shownAt: ContinuousClock.Instant?

  var isAnyLost: Bool { rejected + unsent > 0 }

  func countStored(accepted: Int, duplicates: Int) {
    self.accepted += accepted
    self.duplicates += duplicates
    showProgress()
  }

  func countSpooled(_ count: Int) {
    spooled += count
    showProgress()
  }

  func countUnsent(_ count: Int) { unsent += count }

  func reject(_ rejection: Rejection) {
    rejected += 1
    var text = "\(rejection.origin): rejected: \(rejection.reason)"
    for fault in rejection.faults {
      text += "\n  \(fault.pointer.isEmpty ? "(the whole)" : fault.pointer)  \(fault.detail)"
    }
    say(text)
  }

  /// A line on standard error, in the place of the progress.
  func say(_ text: String) {
    clearProgress()
    printError(text)
  }

  /// What is being waited for; for those who look on.
  func showWaiting(_ reason: String, seconds: Int) {
    guard isTerminal else { return }
    write(progress: "\(summary); trying again in \(seconds) s: \(reason)")
    shownAt = nil
  }

  func finish() {
    clearProgress()
    print(summary)
  }

  private var summary: String {
    var parts = ["accepted \(accepted)", "duplicates \(duplicates)", "rejected \(rejected)"]
    if spooled > 0 { parts.append("spooled \(spooled)") }
    if unsent > 0 { parts.append("not sent \(unsent)") }
    return parts.joined(separator: ", ")
  }

  private func showProgress() {
    guard isTerminal, shownAt.map({ .now - $0 >= Self.progressEvery }) ?? true else { return }
    shownAt = .now
    write(progress: summary)
  }

  private func clearProgress() { if isTerminal { write(progress: "") } }

  /// In the place of what was shown before.
  private func write(progress: String) {
    let bytes = Array("\r\u{1B}[K\(progress)".utf8)
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
  }
}
