/** Records of the control plane as the API shows them. Pure. */
import type { ProgramRecord, RolloutRecord, VersionRecord } from '#/control/records.ts'
import { type DataPlaneAddress, idOf } from './deps.ts'
import { writeBinding } from './wire-bindings.ts'

const iso = (time: number) => new Date(time).toISOString()
const author = { author_id: idOf('administrator'), author_email: 'admin@localhost' }

function annotationsOf({ message, tag, source }: { message?: string; tag?: string; source: string }) {
  return {
    ...(message !== undefined && { 'workers/message': message }),
    ...(tag !== undefined && { 'workers/tag': tag }),
    'workers/triggered_by': source === 'wrangler' ? 'upload' : source,
  }
}

/** One version, as `GET …/versions/ID` shows it. */
export function versionView(version: VersionRecord) {
  const { code, limits, frontCache } = version
  const handlers = version.exports.filter((one) => one.kind === 'handlers' && one.name === 'default')
  const named = version.exports.filter((one) => one.name !== 'default')
  return {
    id: version.id,
    number: version.number,
    metadata: {
      ...author,
      created_on: iso(version.createdAt),
      modified_on: iso(version.createdAt),
      source: version.source === 'rimward' ? 'api' : 'wrangler',
      has_preview: false,
    },
    annotations: annotationsOf(version),
    resources: {
      bindings: version.bindings.map(writeBinding),
      script: {
        etag: idOf(version.id),
        handlers: handlers.flatMap((one) => one.handlers),
        named_handlers: named.map(({ name, handlers }) => ({ name, handlers })),
        last_deployed_from: 'wrangler',
      },
      script_runtime: {
        usage_model: 'standard',
        ...(code !== undefined && {
          compatibility_date: code.compatibilityDate,
          compatibility_flags: code.compatibilityFlags,
        }),
        ...(limits.cpuMs !== undefined && { limits: { cpu_ms: limits.cpuMs } }),
      },
    },
    ...(frontCache !== undefined && {
      cache_options: { enabled: true, cross_version_cache: frontCache.acrossVersions },
    }),
    startup_time_ms: Math.round(version.startupMs),
  }
}

export function deploymentView(rollout: RolloutRecord) {
  return {
    id: rollout.id,
    created_on: iso(rollout.createdAt),
    source: 'wrangler',
    strategy: 'percentage',
    author_email: author.author_email,
    annotations: annotationsOf(rollout),
    versions: rollout.parts.map(({ version, percent }) => ({ version_id: version, percentage: percent })),
  }
}

/** The «script» of `GET services/N` and of lists. */
export function scriptView(record: ProgramRecord) {
  return {
    id: record.name,
    tag: record.id,
    tags: record.tags,
    created_on: iso(record.createdAt),
    modified_on: iso(record.modifiedAt),
    usage_model: 'standard',
    logpush: false,
    // Other values make wrangler warn, or compare with a dashboard that does not exist here.
    last_deployed_from: 'wrangler',
    ...(record.migrationTag !== undefined && { migration_tag: record.migrationTag }),
  }
}

export function serviceView(record: ProgramRecord) {
  return {
    id: record.name,
    created_on: iso(record.createdAt),
    modified_on: iso(record.modifiedAt),
    default_environment: {
      environment: 'production',
      created_on: iso(record.createdAt),
      modified_on: iso(record.modifiedAt),
      script: scriptView(record),
    },
  }
}

export function settingsView(record: ProgramRecord, latest: VersionRecord | undefined) {
  return {
    bindings: latest?.bindings.map(writeBinding) ?? [],
    compatibility_date: latest?.code?.compatibilityDate ?? '',
    compatibility_flags: latest?.code?.compatibilityFlags ?? [],
    usage_model: 'standard',
    limits: latest?.limits.cpuMs === undefined ? {} : { cpu_ms: latest.limits.cpuMs },
    placement: {},
    ...(record.migrationTag !== undefined && { migration_tag: record.migrationTag }),
    ...programSettings(record),
  }
}

export function programSettings(record: ProgramRecord) {
  return {
    tags: record.tags,
    tail_consumers: (record.tailConsumers ?? []).map((service) => ({ service, environment: 'production' })),
    logpush: false,
    ...(record.observability !== undefined && { observability: JSON.parse(record.observability) as unknown }),
  }
}

/** `url` is where a person finds the program; wrangler prints it as the target of a deploy. */
export function workerView(record: ProgramRecord, suffix: string, address: DataPlaneAddress) {
  return {
    id: record.id,
    name: record.name,
    created_on: iso(record.createdAt),
    tags: record.tags,
    subdomain: {
      enabled: record.local,
      previews_enabled: false,
      url: `http://${record.name}.${suffix}:${address.httpPort}/`,
    },
  }
}
