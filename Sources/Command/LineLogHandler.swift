import Glibc
import Logging
import Service

enum LogFormat: String {
  case json, text
}

/// One line an entry on standard error, so that standard output stays a command's result.
struct LineLogHandler: LogHandler {
  let format: LogFormat
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  init(format: LogFormat) { self.format = format }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let time = Clock.system.now().rfc3339
    let line =
      switch format {
      case .json:
        LogLine.json(
          time: time, level: event.level.rawValue, message: event.message.description,
          fields: fields.map { ($0.key, $0.value.description) })
      case .text:
        LogLine.text(
          time: time, level: event.level.rawValue, message: event.message.description,
          fields: fields.map { ($0.key, $0.value.description) })
      }
    // One write a line: lines of several threads do not mix.
    line.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
