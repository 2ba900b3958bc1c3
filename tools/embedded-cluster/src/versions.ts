// Which package version stands for a major version of PostgreSQL. The one of the default major is a dependency, the others are fetched.
import { ClusterError } from "./cluster-error.js";

export const defaultVersion = "18";

const packageVersions: Readonly<Record<string, string>> = {
  "13": "13.23.0-beta.16",
  "14": "14.23.0-beta.17",
  "15": "15.18.0-beta.17",
  "16": "16.14.0-beta.17",
  "17": "17.10.0-beta.17",
  "18": "18.4.0-beta.17",
};

export const supportedVersions: readonly string[] = Object.keys(packageVersions);

export function packageVersionOf(version: string): string {
  if (/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
    return version;
  }
  const known = packageVersions[version];
  if (known === undefined) {
    throw new ClusterError(`There is no PostgreSQL "${version}" to start. Versions: ${supportedVersions.join(", ")}.`);
  }
  return known;
}

export function majorOf(packageVersion: string): number {
  return Number.parseInt(packageVersion, 10);
}
