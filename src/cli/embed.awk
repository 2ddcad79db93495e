# embed.awk - text files to C: name.yaml becomes `const char template_name[]`
BEGIN { print "#include \"cli/templates.h\"" }
FNR == 1 {
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\..*/, "", name)
	if (open) print "\t;"
	print "const char template_" name "[] ="
	open = 1
}
{
	gsub(/\\/, "\\\\")
	gsub(/"/, "\\\"")
	print "\t\"" $0 "\\n\""
}
END { print "\t;" }
