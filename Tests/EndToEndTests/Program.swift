import Foundation
import TestHarness

/// The built program, run as a user runs it.
struct Program {
  /// Beside the test bundle.
  static let path: String = {
    let directory = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    return directory.appendingPathComponent("relayrisk").path
  }()

  struct Outcome {
    let status: Int32
    let output: String
    let errors: String
  }

  /// Runs a subcommand, or another program, to its end.
  static func run(
    _ arguments: [String], of program: String = path, environment: [String: String] = [:], input: Data? = nil,
    timeoutSeconds: Int = 60
  ) async throws -> Outcome {
    try await withCheckedThrowingContinuation { continuation in
      // Blocks, so it has a thread of its own.
      Thread.detachNewThread {
        continuation.resume(with: Result { try runBlocking(program, arguments, environment, input, timeoutSeconds) })
      }
    }
  }

  private static func runBlocking(
    _ program: String, _ arguments: [String], _ environment: [String: String], _ input: Data?, _ timeoutSeconds: Int
  ) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Files instead of pipes: a daemon that keeps a pipe open would keep its reader waiting.
    let directory = TemporaryDirectory.make()
    defer { Shell.run(["/bin/rm", "-rf", directory]) }
    let files = ["out", "err"].map { name in
      let file = "\(directory)/\(name)"
      _ = FileManager.default.createFile(atPath: file, contents: nil)
      return (file, FileHandle(forWritingAtPath: file)!)
    }
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    if let input {
      let file = "\(directory)/in"
      try input.write(to: URL(fileURLWithPath: file))
      process.standardInput = FileHandle(forReadingAtPath: file)
    } else {
      process.standardInput = FileHandle.nullDevice
    }
    try process.run()
    // One that hangs must fail its test, not hang the run.
    let watchdog = DispatchWorkItem { kill(process.processIdentifier, SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(timeoutSeconds), execute: watchdog)
    process.waitUntilExit()
    watchdog.cancel()
    return Outcome(
      status: process.terminationStatus, output: try String(contentsOfFile: files[0].0, encoding: .utf8),
      errors: try String(contentsOfFile: files[1].0, encoding: .utf8))
  }
}

extension Process {
  /// Waits for the end.
  /// - Returns: the exit status, or the signal that ended it, negated.
  func end() async -> Int32 {
    await withCheckedContinuation { continuation in
      // Blocks, so it has a thread of its own.
      Thread.detachNewThread { [self] in
        waitUntilExit()
        continuation.resume(
          returning: terminationReason == .uncaughtSignal ? -terminationStatus : terminationStatus)
      }
    }
  }
}
