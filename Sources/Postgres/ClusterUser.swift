import Glibc

/// The operating system's user that runs PostgreSQL: ourselves, or as root an unprivileged one, as PostgreSQL refuses
/// to run as root.
struct ClusterUser: Sendable {
  let name: String
  let userID: uid_t
  let groupID: gid_t

  /// As root: the owner of an existing cluster, else `postgres`, else `nobody`.
  static func choose(cluster: String) throws(PrivateClusterError) -> ClusterUser {
    let owner = SystemCall.status(of: cluster)?.st_uid
    guard geteuid() == 0 else {
      if let owner, owner != geteuid() { throw .foreignOwner(directory: cluster, ownerUserID: owner) }
      return ClusterUser(named(getpwuid(geteuid()))) ?? ClusterUser(name: "", userID: geteuid(), groupID: getegid())
    }
    if let owner {
      // PostgreSQL would refuse a directory of root's as it refuses to run as root.
      guard owner != 0, let user = ClusterUser(named(getpwuid(owner))) else {
        throw .foreignOwner(directory: cluster, ownerUserID: owner)
      }
      return user
    }
    guard let user = ClusterUser(named(getpwnam("postgres"))) ?? ClusterUser(named(getpwnam("nobody"))) else {
      throw .system(call: "getpwnam", path: "postgres", errorNumber: ENOENT)
    }
    return user
  }

  private static func named(_ entry: UnsafeMutablePointer<passwd>?) -> passwd? { entry?.pointee }

  private init?(_ entry: passwd?) {
    guard let entry else { return nil }
    self.init(name: String(cString: entry.pw_name), userID: entry.pw_uid, groupID: entry.pw_gid)
  }

  private init(name: String, userID: uid_t, groupID: gid_t) {
    self.name = name
    self.userID = userID
    self.groupID = groupID
  }

  /// What to put before a command so that it runs as this user.
  var commandPrefix: [String] {
    guard geteuid() == 0 else { return [] }
    return ["/usr/bin/setpriv", "--reuid=\(userID)", "--regid=\(groupID)", "--init-groups", "--"]
  }

  /// Gives a file or directory made by root to this user.
  func own(_ path: String) throws(PrivateClusterError) {
    if geteuid() == 0 { try SystemCall.check(lchown(path, userID, groupID), "chown", path) }
  }

  /// Every directory on the way must let the user pass. Access control lists are not looked at.
  /// - Throws: `.unreachable` with the first that does not.
  func checkMayEnter(_ directory: String) throws(PrivateClusterError) {
    guard geteuid() == 0 else { return }
    // More groups than this are not looked at; a false refusal names the directory and can be helped by chmod.
    var count: Int32 = 64
    var groups = [gid_t](repeating: 0, count: Int(count))
    if getgrouplist(name, groupID, &groups, &count) < 0 { count = Int32(groups.count) }
    var path = ""
    for part in [""] + directory.split(separator: "/").map(String.init) {
      path += path == "/" ? part : "/\(part)"
      guard let status = SystemCall.status(of: path) else { continue }
      let isGroup = groups[..<Int(count)].contains(status.st_gid)
      let bit = status.st_uid == userID ? S_IXUSR : isGroup ? S_IXGRP : S_IXOTH
      guard status.st_mode & bit != 0 else { throw .unreachable(directory: path, user: name) }
    }
  }
}
