import ArgumentParser
import Glibc
import HTTPServer
import Logging
import Service

/// Flags of every subcommand. A flag wins over its twin in the environment, and that over the default.
struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The database, as libpq takes it; without one a private cluster is kept in the data directory.",
      valueName: "url"))
  var databaseURL: String?

  @Option(help: ArgumentHelp("Where the private cluster lives. (default: .relayrisk)", valueName: "directory"))
  var dataDir: String?

  @Option(
    help: ArgumentHelp(
      "The key that evidence is encrypted under: 32 bytes in Base64, in a file that nobody else may read; while it is "
        + "being changed, in the next line the one to come. RELAYRISK_MASTER_KEY may hold it in place of a file. "
        + "(default: master.key in the data directory, for the private cluster)", valueName: "path"))
  var masterKeyFile: String?

  @Option(help: ArgumentHelp("json or text. (default: text)", valueName: "format"))
  var logFormat: LogFormat?

  var resolvedDatabaseURL: String? { databaseURL ?? environment("RELAYRISK_DATABASE_URL") }

  var resolvedDataDirectory: String { dataDir ?? environment("RELAYRISK_DATA_DIR") ?? ".relayrisk" }

  /// Of the flag or the environment; nil when neither has one.
  /// - Throws: when there is none where they say, or it may be read by others.
  func masterKeys() throws -> MasterKeySource? {
    if let path = masterKeyFile ?? environment("RELAYRISK_MASTER_KEY_FILE") {
      return MasterKeySource(keys: try MasterKeyFile.read(path), path: path)
    }
    guard let text = environment("RELAYRISK_MASTER_KEY") else { return nil }
    guard let keys = MasterKey.list(text) else {
      throw ValidationError(
        "RELAYRISK_MASTER_KEY must be \(MasterKey.bytesCount) bytes in Base64: openssl rand -base64 32 makes some")
    }
    return MasterKeySource(keys: keys, path: nil)
  }

  /// - Throws: when the environment names a format that there is not.
  func logger() throws -> Logger {
    var format = LogFormat.text
    if let logFormat {
      format = logFormat
    } else if let name = environment("RELAYRISK_LOG_FORMAT") {
      guard let named = LogFormat(rawValue: name) else {
        throw ValidationError("RELAYRISK_LOG_FORMAT is \"\(name)\"; it must be json or text")
      }
      format = named
    }
    return Logger(label: "relayrisk") { _ in LineLogHandler(format: format) }
  }
}

extension LogFormat: ExpressibleByArgument {}

/// What a flag says, or its twin in the environment.
/// - Parameter name: the flag's, without dashes.
/// - Throws: when neither says anything.
func required(_ value: String?, _ name: String) throws -> String {
  let twin = twin(of: name)
  guard let value = value ?? environment(twin) else {
    throw ValidationError("Missing expected argument '--\(name) <\(name)>', and \(twin) is not set either.")
  }
  return value
}

/// A flag that was set, or what its twin in the environment says.
/// - Parameter name: the flag's, without dashes.
/// - Throws: when the environment says neither true nor false.
func flag(_ isSet: Bool, _ name: String) throws -> Bool {
  let twin = twin(of: name)
  switch environment(twin) {
  case nil, "false": return isSet
  case "true": return true
  case let other?: throw ValidationError("\(twin) is \"\(other)\"; it must be true or false")
  }
}

/// Of a flag that may be repeated, or of a list with commas in the environment.
/// - Parameter name: the flag's, without dashes.
func addressRanges(_ given: [String], _ name: String) throws -> [AddressRange] {
  let inherited = environment(twin(of: name))?.split(separator: ",") ?? []
  let texts = given.isEmpty ? inherited.map { $0.trimmingPrefix(" ") }.map(String.init) : given
  return try texts.map { text in
    do throws(InvalidAddressRange) {
      return try AddressRange(text)
    } catch {
      throw ValidationError("--\(name), or \(twin(of: name)), names \"\(text)\", which \(error)")
    }
  }
}

/// `data-dir` is `RELAYRISK_DATA_DIR`.
func twin(of name: String) -> String {
  "RELAYRISK_" + name.uppercased().split(separator: "-").joined(separator: "_")
}

/// The variable's value; an empty one counts as absent.
func environment(_ name: String) -> String? {
  guard let value = getenv(name) else { return nil }
  let text = String(cString: value)
  return text.isEmpty ? nil : text
}
