/* An NVML of ours, with GPUs that a file describes: the functions that nvml-wrapper calls for clearmld, no more.
 *
 * The file is LIBRARY.conf beside the library, read anew at every call, so that a test can change the hardware. A line
 * is a word and `key=value` pairs; `_` in a value is a space:
 *
 *   driver version=550.54.15 cuda=12040
 *   gpu uuid=GPU-aaaa name=NVIDIA_A100 bus=7 minor=1 total=42949672960 used=1073741824 usage=35 temp=41 power=61000
 *       limit=400000 ecc=2 uncorrected=0          (one line; what is not said is not supported)
 *   slice gpu=0 index=1 uuid=MIG-bbbb profile=1g.5gb gi=7 ci=0 total=5368709120 used=0
 *   process gpu=0 pid=123 used=1048576
 *   (a gpu may also say pending=1 or failed=1: rows of memory that wait for a reset, or that none is left for; and
 *   recovery=1: what its driver recommends, as nvmlDeviceGpuRecoveryAction_t numbers it)
 *   xid id=1 gpu=0 code=79 gi=7     an error, delivered once to each set that was made before; ids go up
 *   link gpu=0 bus=8                an NVLink of GPU 0 to what is on that bus; without one there is no NVLink
 *   fail call=init code=9           nvmlInit answers that code; also call=count and call=wait, and call=gpu,
 *                                   call=handle and call=register with gpu=N
 *   hang                            nvmlDeviceGetCount and nvmlEventSetWait do not come back while this line is there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, UNKNOWN = 999 };
enum { CRITICAL_XID_ERROR = 8, STEP_US = 10000, RECOVERY_ACTION = 230, UNSIGNED_INT = 1 };
enum { MOST = 64, LINE = 512 };

typedef struct { char text[LINE]; } line;
typedef struct { int count; line lines[MOST]; } script;
/* A handle: which GPU, and which slice of it or -1. They live for ever, as NVML's do. */
typedef struct { int gpu, slice; } handle;
static handle handles[MOST][MOST + 1];
/* Which GPUs it hears of, and the last error that it has delivered. */
typedef struct { int gpus[MOST]; unsigned long long last; } event_set;

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process_info;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { handle *device; unsigned long long type, detail; unsigned gi, ci; } event;
typedef struct {
  unsigned id, scope; long long time, latency; unsigned type; int code; union { unsigned number; unsigned long long wide; } value;
} field_value;

static void read_script(script *into) {
  Dl_info self;
  char path[4096];
  into->count = 0;
  if (!dladdr((void *)read_script, &self)) return;
  snprintf(path, sizeof path, "%s.conf", self.dli_fname);
  FILE *file = fopen(path, "r");
  if (!file) return;
  while (into->count < MOST && fgets(into->lines[into->count].text, LINE, file)) into->count++;
  fclose(file);
}

/* The n-th line of that kind. */
static const char *find(const script *from, const char *kind, int nth) {
  size_t length = strlen(kind);
  for (int i = 0; i < from->count; i++) {
    const char *text = from->lines[i].text;
    if (!strncmp(text, kind, length) && (text[length] == ' ' || text[length] == '\n' || !text[length]) && nth-- == 0)
      return text;
  }
  return NULL;
}

static int value(const char *text, const char *key, char *out, size_t size) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, " %s=", key);
  const char *at = text ? strstr(text, wanted) : NULL;
  if (!at) return 0;
  size_t n = 0;
  for (at += strlen(wanted); *at && *at != ' ' && *at != '\n' && n + 1 < size; at++) out[n++] = *at == '_' ? ' ' : *at;
  out[n] = 0;
  return 1;
}

static int number(const char *text, const char *key, unsigned long long *out) {
  char digits[32];
  if (!value(text, key, digits, sizeof digits)) return 0;
  *out = strtoull(digits, NULL, 10);
  return 1;
}

static unsigned long long number_or(const char *text, const char *key, unsigned long long otherwise) {
  number(text, key, &otherwise);
  return otherwise;
}

static int text_of(const char *from, const char *key, char *out, unsigned size) {
  return value(from, key, out, size) ? SUCCESS : NOT_SUPPORTED;
}

static int unsigned_of(const char *from, const char *key, unsigned *out) {
  unsigned long long found;
  if (!number(from, key, &found)) return NOT_SUPPORTED;
  *out = (unsigned)found;
  return SUCCESS;
}

static int failure(const script *from, const char *call, int gpu) {
  char name[16];
  const char *text;
  for (int i = 0; (text = find(from, "fail", i)); i++)
    if (value(text, "call", name, sizeof name) && !strcmp(name, call) && (int)number_or(text, "gpu", gpu) == gpu)
      return (int)number_or(text, "code", UNKNOWN);
  return SUCCESS;
}

/* The line of a handle; none and an error where it fails. */
static const char *line_of(const script *from, const handle *device, int *error) {
  const char *text;
  *error = failure(from, "gpu", device->gpu);
  if (*error) return NULL;
  if (device->slice < 0) text = find(from, "gpu", device->gpu);
  else
    for (int i = 0; (text = find(from, "slice", i)); i++)
      if ((int)number_or(text, "gpu", 0) == device->gpu && (int)number_or(text, "index", 0) == device->slice) break;
  if (!text) *error = INVALID;
  return text;
}

#define WITH_LINE(device) \
  script from; \
  int error; \
  read_script(&from); \
  const char *text = line_of(&from, device, &error); \
  if (!text) return error

int nvmlInit_v2(void) {
  script from;
  read_script(&from);
  return failure(&from, "init", -1);
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
  script from;
  read_script(&from);
  return text_of(find(&from, "driver", 0), "version", out, size);
}

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
  script from;
  unsigned found = 0;
  read_script(&from);
  int error = unsigned_of(find(&from, "driver", 0), "cuda", &found);
  *out = (int)found;
  return error;
}

int nvmlDeviceGetCount_v2(unsigned *out) {
  script from;
  for (read_script(&from); find(&from, "hang", 0); read_script(&from)) usleep(20000);
  for (*out = 0; find(&from, "gpu", (int)*out);) ++*out;
  return failure(&from, "count", -1);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle **out) {
  script from;
  read_script(&from);
  if (index >= MOST || !find(&from, "gpu", (int)index)) return INVALID;
  *out = &handles[index][MOST];
  **out = (handle){(int)index, -1};
  return failure(&from, "handle", (int)index);
}

int nvmlDeviceGetUUID(handle *device, char *out, unsigned size) {
  WITH_LINE(device);
  return text_of(text, "uuid", out, size);
}

int nvmlDeviceGetName(handle *device, char *out, unsigned size) {
  WITH_LINE(device);
  if (device->slice < 0) return text_of(text, "name", out, size);
  char name[64] = "GPU", profile[32];
  value(find(&from, "gpu", device->gpu), "name", name, sizeof name);
  if (!value(text, "profile", profile, sizeof profile)) return NOT_SUPPORTED;
  snprintf(out, size, "%s MIG %s", name, profile);
  return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(handle *device, pci_info *out) {
  WITH_LINE(device);
  memset(out, 0, sizeof *out);
  out->bus = (unsigned)number_or(text, "bus", 0);
  snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus, out->device);
  return SUCCESS;
}

int nvmlDeviceGetMinorNumber(handle *device, unsigned *out) {
  WITH_LINE(device);
  return unsigned_of(text, "minor", out);
}

int nvmlDeviceGetMemoryInfo_v2(handle *device, memory_v2 *out) {
  WITH_LINE(device);
  if (!number(text, "total", &out->total)) return NOT_SUPPORTED;
  out->used = number_or(text, "used", 0);
  out->reserved = 0;
  out->free = out->total - out->used;
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(handle *device, utilization *out) {
  WITH_LINE(device);
  out->memory = 0;
  return unsigned_of(text, "usage", &out->gpu);
}

int nvmlDeviceGetTemperature(handle *device, int sensor, unsigned *out) {
  WITH_LINE(device);
  return sensor ? INVALID : unsigned_of(text, "temp", out);
}

int nvmlDeviceGetPowerUsage(handle *device, unsigned *out) {
  WITH_LINE(device);
  return unsigned_of(text, "power", out);
}

int nvmlDeviceGetEnforcedPowerLimit(handle *device, unsigned *out) {
  WITH_LINE(device);
  return unsigned_of(text, "limit", out);
}

int nvmlDeviceGetTotalEccErrors(handle *device, int uncorrected, int aggregate, unsigned long long *out) {
  WITH_LINE(device);
  if (aggregate) return NOT_SUPPORTED;
  return number(text, uncorrected ? "uncorrected" : "ecc", out) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetComputeRunningProcesses_v3(handle *device, unsigned *count, process_info *out) {
  WITH_LINE(device);
  unsigned room = out ? *count : 0;
  const char *process;
  *count = 0;
  for (int i = 0; (process = find(&from, "process", i)); i++) {
    if ((int)number_or(process, "gpu", 0) != device->gpu) continue;
    if (*count < room) {
      process_info info = {(unsigned)number_or(process, "pid", 0), number_or(process, "used", 0), ~0u, ~0u};
      out[*count] = info;
    }
    ++*count;
  }
  return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

static const char *link_of(const script *from, const handle *device, unsigned link) {
  const char *text;
  for (int i = 0; (text = find(from, "link", i)); i++)
    if ((int)number_or(text, "gpu", 0) == device->gpu && link-- == 0) return text;
  return NULL;
}

int nvmlDeviceGetNvLinkState(handle *device, unsigned link, unsigned *active) {
  WITH_LINE(device);
  *active = 1;
  return link_of(&from, device, link) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(handle *device, unsigned link, pci_info *out) {
  WITH_LINE(device);
  const char *there = link_of(&from, device, link);
  if (!there) return NOT_SUPPORTED;
  memset(out, 0, sizeof *out);
  out->bus = (unsigned)number_or(there, "bus", 0);
  snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus, out->device);
  return SUCCESS;
}

int nvmlDeviceGetMigMode(handle *device, unsigned *current, unsigned *pending) {
  WITH_LINE(device);
  int error_of_mig = unsigned_of(text, "mig", current);
  *pending = *current;
  return error_of_mig;
}

int nvmlDeviceGetMaxMigDeviceCount(handle *device, unsigned *out) {
  (void)device;
  *out = 7;
  return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(handle *device, unsigned index, handle **out) {
  handle asked = {device->gpu, (int)index};
  script from;
  int error;
  read_script(&from);
  if (index >= MOST || !line_of(&from, &asked, &error)) return NOT_FOUND;
  *out = &handles[device->gpu][index];
  **out = asked;
  return SUCCESS;
}

int nvmlDeviceGetGpuInstanceId(handle *device, unsigned *out) {
  WITH_LINE(device);
  return unsigned_of(text, "gi", out);
}

int nvmlDeviceGetComputeInstanceId(handle *device, unsigned *out) {
  WITH_LINE(device);
  return unsigned_of(text, "ci", out);
}

int nvmlDeviceGetRemappedRows(handle *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
  WITH_LINE(device);
  *corrected = *uncorrected = 0;
  *pending = (unsigned)number_or(text, "pending", 0);
  *failed = (unsigned)number_or(text, "failed", 0);
  return SUCCESS;
}

int nvmlDeviceGetFieldValues(handle *device, int count, field_value *fields) {
  WITH_LINE(device);
  for (int i = 0; i < count; i++) {
    fields[i].type = UNSIGNED_INT;
    fields[i].code = fields[i].id == RECOVERY_ACTION ? unsigned_of(text, "recovery", &fields[i].value.number) : NOT_SUPPORTED;
  }
  return SUCCESS;
}

int nvmlDeviceGetRetiredPagesPendingStatus(handle *device, unsigned *out) {
  (void)device;
  (void)out;
  return NOT_SUPPORTED;
}

int nvmlDeviceGetSupportedEventTypes(handle *device, unsigned long long *out) {
  WITH_LINE(device);
  *out = CRITICAL_XID_ERROR;
  return SUCCESS;
}

int nvmlEventSetCreate(event_set **out) {
  script from;
  const char *text;
  if (!(*out = calloc(1, sizeof **out))) return UNKNOWN;
  /* What happened before is nobody's. */
  read_script(&from);
  for (int i = 0; (text = find(&from, "xid", i)); i++)
    if (number_or(text, "id", 0) > (*out)->last) (*out)->last = number_or(text, "id", 0);
  return SUCCESS;
}

int nvmlEventSetFree(event_set *set) {
  free(set);
  return SUCCESS;
}

int nvmlDeviceRegisterEvents(handle *device, unsigned long long types, event_set *set) {
  WITH_LINE(device);
  if (types != CRITICAL_XID_ERROR) return INVALID;
  int refused = failure(&from, "register", device->gpu);
  if (refused) return refused;
  set->gpus[device->gpu] = 1;
  return SUCCESS;
}

int nvmlEventSetWait_v2(event_set *set, event *out, unsigned timeout_ms) {
  script from;
  const char *text;
  for (long left = timeout_ms * 1000L; left > 0; left -= STEP_US) {
    for (read_script(&from); find(&from, "hang", 0); read_script(&from)) usleep(STEP_US);
    int error = failure(&from, "wait", -1);
    if (error) return error;
    for (int i = 0; (text = find(&from, "xid", i)); i++) {
      unsigned long long id = number_or(text, "id", 0), gpu = number_or(text, "gpu", 0);
      if (id <= set->last || gpu >= MOST || !set->gpus[gpu]) continue;
      set->last = id;
      handles[gpu][MOST] = (handle){(int)gpu, -1};
      unsigned gi = (unsigned)number_or(text, "gi", ~0u);
      *out = (event){&handles[gpu][MOST], CRITICAL_XID_ERROR, number_or(text, "code", UNKNOWN), gi, ~0u};
      return SUCCESS;
    }
    usleep(STEP_US);
  }
  return TIMEOUT;
}
