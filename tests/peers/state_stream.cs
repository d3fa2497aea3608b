// What the C# sample reads: of a golden frame (its bytes in hex), or of a service (its address, a key or "-", and a
// message to subscribe with), a line for each frame.
using System;
using System.Globalization;
using System.Linq;
using System.Threading;
using IoTSense;

static class Program
{
    static void Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        if (arguments.Length == 1)
        {
            string hex = arguments[0];
            Print(new StateFrame(Enumerable.Range(0, hex.Length / 2).Select(i => Convert.ToByte(hex.Substring(2 * i, 2), 16)).ToArray()));
            return;
        }
        var stream = new StateStream(new Uri(arguments[0]), arguments[1] == "-" ? null : arguments[1]);
        stream.Message += json => Console.WriteLine("text " + json);
        stream.Frame += Print;
        stream.Run(arguments[2], CancellationToken.None).Wait();
    }

    static void Print(StateFrame frame)
    {
        Console.WriteLine(string.Join(" ",
            frame.Snapshot, frame.Subscription, frame.Sequence, frame.Time, frame.Journal, string.Join(",", frame.Index),
            string.Join(",", frame.Value.Select(each => double.IsNaN(each) ? "null" : each.ToString("R"))),
            string.Join(",", frame.Quality), frame.Times == null ? "-" : string.Join(",", frame.Times)));
    }
}
