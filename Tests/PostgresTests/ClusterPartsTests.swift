import Glibc
import TestHarness
import Testing

@testable import Postgres

/// The parts of the private cluster that need no server.
@Suite struct ClusterPartsTests {
  private func withDirectory(_ body: (String) throws -> Void) rethrows {
    let directory = TemporaryDirectory.make()
    defer { Shell.run(["/bin/rm", "-rf", directory]) }
    try body(directory)
  }

  @Test func thePostmastersFileIsRead() {
    let text = "4242\n/data/postgres\n1700000000\n5432\n/run/relayrisk-x\n\n 1 2\nready   \n"
    #expect(Postmaster(parsing: text)?.processID == 4242)
    #expect(Postmaster(parsing: text)?.socketDirectory == "/run/relayrisk-x")
    // Written in steps, so a reader may see less than all.
    #expect(Postmaster(parsing: "4242\n/data")?.socketDirectory == "")
    for text in ["", "\n", "x\n", "-1\n", "0\n", "1\n"] { #expect(Postmaster(parsing: text) == nil) }
  }

  @Test(arguments: [(256, 128), (2_048, 256), (4_096, 512), (65_536, 1_024)])
  func theServersMemoryIsAnEighthWithinBounds(megabytes: Int, shared: Int) {
    let text = ClusterSettings(memoryBytes: megabytes * 1_048_576).text
    #expect(text.contains("shared_buffers = '\(shared)MB'\n"))
  }

  @Test func aContainersLimitCountsWhereItIsLess() throws {
    try withDirectory { directory in
      let path = "\(directory)/memory.max"
      let physical = ClusterSettings.memoryBytes(controlGroup: path)
      #expect(physical > 0)
      for (limit, bytes) in [("268435456\n", 268_435_456), ("max\n", physical), ("\(Int.max)\n", physical)] {
        try SystemCall.write(limit, to: path)
        #expect(ClusterSettings.memoryBytes(controlGroup: path) == bytes)
      }
    }
  }

  @Test func sharedLocksGoTogetherAndAnExclusiveOneIsAlone() throws {
    try withDirectory { directory in
      let path = "\(directory)/lock"
      var first: FileLock? = try FileLock(path, .shared, timeoutSeconds: 0)
      let second = try FileLock(path, .shared, timeoutSeconds: 0)
      #expect(throws: PrivateClusterError.self) { _ = try FileLock(path, .exclusive, timeoutSeconds: 0) }
      #expect(!second.tryUpgrade())
      #expect(first?.tryUpgrade() == true)
      #expect(throws: PrivateClusterError.self) { _ = try FileLock(path, .shared, timeoutSeconds: 0) }
      first = nil
      // Not at once: a process that another test starts has the descriptor for a moment, until its exec.
      _ = try FileLock(path, .exclusive, timeoutSeconds: 10)
    }
  }

  @Test func directoriesAreMadeWithTheirModeWhateverTheMask() throws {
    try withDirectory { directory in
      let path = "\(directory)/a/b/c"
      try SystemCall.makeDirectories(path, mode: 0o711)
      try SystemCall.makeDirectories(path, mode: 0o700)
      #expect(SystemCall.status(of: path)!.st_mode & 0o777 == 0o711)
      #expect(SystemCall.status(of: "\(directory)/a/b")!.st_mode & 0o777 == 0o755)
      #expect(SystemCall.names(in: "\(directory)/a") == ["b"])
      try SystemCall.write("x", to: "\(directory)/file")
      #expect(throws: PrivateClusterError.self) {
        try SystemCall.makeDirectories("\(directory)/file/below", mode: 0o700)
      }
    }
  }

  @Test func filesAreReadFromTheirEndAndNeverWrittenThroughALink() throws {
    try withDirectory { directory in
      let path = "\(directory)/file"
      try SystemCall.write("0123456789", to: path)
      #expect(SystemCall.read(path) == "0123456789")
      #expect(SystemCall.read(path, lastBytesMax: 4) == "6789")
      #expect(SystemCall.read("\(directory)/absent") == nil)
      symlink(path, "\(directory)/link")
      #expect(throws: PrivateClusterError.self) { try SystemCall.write("x", to: "\(directory)/link") }
      #expect(SystemCall.read(path) == "0123456789")
    }
  }

  @Test func aRecordedSocketDirectoryThatSomebodyElseTookIsNotUsed() throws {
    try withDirectory { directory in
      let user = try ClusterUser.choose(cluster: "\(directory)/postgres")
      let sockets = SocketDirectory(record: "\(directory)/record", user: user)
      let made = try sockets.prepare()
      defer { sockets.remove() }
      #expect(try sockets.prepare() == made)
      #expect(made.utf8.count + "/.s.PGSQL.5432.lock".utf8.count <= 107)
      // Open to all is as good as somebody else's.
      chmod(made, 0o755)
      let other = try sockets.prepare()
      #expect(other != made)
      rmdir(made)
    }
  }

  @Test func errorsSayWhatToDo() {
    let errors: [(PrivateClusterError, String)] = [
      (.notInstalled, "Install the package postgresql-15"),
      (.unreachable(directory: "/root", user: "postgres"), "chmod o+x /root"),
      (.otherMajorVersion(directory: "/d", found: "13", installed: ["15"]), "Install the package postgresql-13"),
      (.foreignOwner(directory: "/d", ownerUserID: 7), "Run as that user or as root"),
      (.lockTimeout(path: "/d/lock"), "fuser -v /d/lock"),
      (.system(call: "open", path: "/d", errorNumber: ENOENT), "open /d: No such file or directory"),
    ]
    for (error, advice) in errors { #expect("\(error)".contains(advice)) }
  }
}
