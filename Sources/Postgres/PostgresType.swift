/// A PostgreSQL data type by its object identifier. The built-in identifiers are fixed for all versions
/// (`src/include/catalog/pg_type.dat`), so nothing has to be asked of the server.
public struct PostgresType: Sendable, Hashable {
  public let objectIdentifier: UInt32

  public init(objectIdentifier: UInt32) { self.objectIdentifier = objectIdentifier }

  public static let bool = PostgresType(objectIdentifier: 16)
  public static let bytea = PostgresType(objectIdentifier: 17)
  public static let name = PostgresType(objectIdentifier: 19)
  public static let int8 = PostgresType(objectIdentifier: 20)
  public static let int2 = PostgresType(objectIdentifier: 21)
  public static let int4 = PostgresType(objectIdentifier: 23)
  public static let text = PostgresType(objectIdentifier: 25)
  public static let json = PostgresType(objectIdentifier: 114)
  public static let float4 = PostgresType(objectIdentifier: 700)
  public static let float8 = PostgresType(objectIdentifier: 701)
  public static let bpchar = PostgresType(objectIdentifier: 1042)
  public static let varchar = PostgresType(objectIdentifier: 1043)
  public static let timestamptz = PostgresType(objectIdentifier: 1184)
  public static let uuid = PostgresType(objectIdentifier: 2950)
  public static let jsonb = PostgresType(objectIdentifier: 3802)

  // Arrays have identifiers of their own, unrelated to their elements'.
  public static let boolArray = PostgresType(objectIdentifier: 1000)
  public static let byteaArray = PostgresType(objectIdentifier: 1001)
  public static let int2Array = PostgresType(objectIdentifier: 1005)
  public static let int4Array = PostgresType(objectIdentifier: 1007)
  public static let textArray = PostgresType(objectIdentifier: 1009)
  public static let int8Array = PostgresType(objectIdentifier: 1016)
  public static let float8Array = PostgresType(objectIdentifier: 1022)
  public static let timestamptzArray = PostgresType(objectIdentifier: 1185)
  public static let uuidArray = PostgresType(objectIdentifier: 2951)
  public static let jsonbArray = PostgresType(objectIdentifier: 3807)
}
