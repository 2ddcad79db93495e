/* replay.c - runs every file of a corpus directory through a fuzz target, once
 *
 * Linked in place of libFuzzer, so that what a fuzzer found stays found with any compiler.
 * An empty or missing corpus is a failure: a test that cannot fail is a defect.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (4u * 1024 * 1024)

static int replay(const char *directory, const char *name)
{
	static uint8_t input[INPUT_MAX];
	char path[4096];
	uint8_t *exact;
	FILE *f;
	size_t n;

	if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
		return -1;
	f = fopen(path, "rbe");
	if (!f)
		return -1;
	n = fread(input, 1, sizeof input, f);
	fclose(f);
	exact = malloc(n ? n : 1);	/* exactly as long as the input, for the sanitizer */
	if (!exact)
		return -1;
	for (size_t i = 0; i < n; i++)
		exact[i] = input[i];
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);

		if (!d) {
			perror(argv[i]);
			return 1;
		}
		for (struct dirent *e; (e = readdir(d));) {
			if (e->d_name[0] == '.')
				continue;
			if (replay(argv[i], e->d_name)) {
				perror(e->d_name);
				return 1;
			}
			count++;
		}
		closedir(d);
	}
	printf("%u inputs replayed\n", count);
	return count ? 0 : 1;
}
