module example.com/query-counts

go 1.21
