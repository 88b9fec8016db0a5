import ArgumentParser
import Service

extension Keys {
  struct RotateMaster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rotate-master",
      abstract: "Wraps the keys that evidence is encrypted under by another master key.",
      discussion: """
        The service runs meanwhile, and evidence is not encrypted anew. For the private cluster this is all there is \
        to do: the new key is made, and takes the place of the former in master.key.

        For a database of your own: add the new key as the last line of the file that --master-key-file names, on \
        every instance; run this as the owner of the tables, with the same file; then take the former line out. \
        Instances read the file again when they meet a key that they do not know; those with RELAYRISK_MASTER_KEY \
        need a restart.

        All or nothing, and to be run again after it was cut off. Backups of before need the former key: keep it as \
        long as these.
        """)

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let logger = try common.logger()
      try await Backend.withMigrated(common, logger: logger) { backend in
        let service = try RiskService(
          database: backend.database, masterKeys: backend.masterKeys, reader: backend.reader, logger: logger)
        try await service.load(evidence: false)
        if let file = backend.ownMasterKeyFile { try MasterKeyFile.addSuccessor(in: file) }
        let (count, id) = try await service.rotateMasterKey()
        print(
          count == 0
            ? "the master key \(id) is in force already"
            : "\(count) key\(count == 1 ? "" : "s") of evidence wrapped anew; the master key \(id) is in force")
        guard let file = backend.ownMasterKeyFile else { return }
        for former in try MasterKeyFile.retireFormer(in: file) {
          printError("backups of before need the former master key, which is in \(former): keep it as long as these")
        }
      }
    }
  }
}
