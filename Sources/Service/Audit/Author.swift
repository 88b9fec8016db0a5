import Glibc
import HTTPServer

/// Who changes something, and by which request: what the audit log says of it.
struct Author: Sendable, Equatable {
  /// The key that was called with, or of a token what stands for its subject. Nil for the command: the program, run by
  /// a user of the operating system, whether as a subcommand or as the service of its own accord.
  let keyID: Identifier?
  /// The key's, as it is now, the token's holder's, or the user's.
  let name: String
  /// The numeric address; behind a proxy that is trusted the client's. Nil for the command, as the next.
  let peer: String?
  let requestID: Identifier?
  /// How the author stands beside what was changed.
  let recordedName: String

  /// - Parameter recordedName: by default the key's id, or the user's name.
  init(keyID: Identifier?, name: String, peer: String?, requestID: Identifier?, recordedName: String? = nil) {
    self.keyID = keyID
    self.name = name
    self.peer = peer
    self.requestID = requestID
    self.recordedName = recordedName ?? keyID.map { "key:\($0)" } ?? "command:\(name)"
  }

  /// This process. The user who really runs it: what it calls itself in the environment is anybody's to set.
  static let command: Author = {
    let user = getuid()
    let name = getpwuid(user).map { String(cString: $0.pointee.pw_name) } ?? "user \(user)"
    return Author(keyID: nil, name: name, peer: nil, requestID: nil)
  }()
}

extension Call {
  /// - Precondition: the route's requirement demands a key.
  var author: Author {
    Author(
      keyID: caller.keyID, name: caller.subject == nil ? caller.keyName : caller.auditName,
      peer: request.head.peer.address, requestID: Identifier(parsing: request.id), recordedName: caller.auditName)
  }
}
