// IoTSense's state stream for Unity and any other .NET (Standard 2.0), without further packages: see docs/stream.md.
//
//     var stream = new StateStream(new Uri("ws://localhost:8080/api/v1/iotsense/stream"), key);
//     stream.Message += json => ...;    // tables of signals: with JsonUtility, or what you like
//     stream.Frame += frame => ...;     // frame.Index[i], frame.Value[i], frame.Quality[i]
//     await stream.Run("{\"type\":\"subscribe\",\"nodes\":[\"line_1\"],\"maxHz\":30}", cancellation);
//
// Both come on the thread that runs it; in Unity, started from the main thread, that is the main thread.

using System;
using System.IO;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace IoTSense
{
    /// <summary>A frame of readings: columns of equal length.</summary>
    public sealed class StateFrame
    {
        const int Header = 32;
        const int SnapshotFlag = 1, Float64Flag = 2, TimesFlag = 4;

        public readonly bool Snapshot;
        public readonly uint Subscription, Sequence;
        /// <summary>The service's clock [ns since 1970, UTC].</summary>
        public readonly long Time;
        /// <summary>The journal's number up to which the frame tells.</summary>
        public readonly long Journal;
        /// <summary>The signals' numbers, as the table has them.</summary>
        public readonly uint[] Index;
        /// <summary>NaN where a reading is no number.</summary>
        public readonly double[] Value;
        /// <summary>Each reading's own time [ns]; null unless it was subscribed to.</summary>
        public readonly long[] Times;
        /// <summary>OPC quality bytes: 192 and above is good.</summary>
        public readonly byte[] Quality;

        /// <summary>Reads a binary frame. Throws FormatException.</summary>
        public StateFrame(byte[] body)
        {
            if (body.Length < Header || body[0] != 1 || body[1] != 1)
                throw new FormatException("not a frame of readings that this class knows");
            if (!BitConverter.IsLittleEndian)
                throw new PlatformNotSupportedException("frames are little-endian, and so must be this machine");
            int flags = BitConverter.ToUInt16(body, 2);
            int count = (int)BitConverter.ToUInt32(body, 4);
            Snapshot = (flags & SnapshotFlag) != 0;
            Subscription = BitConverter.ToUInt32(body, 8);
            Sequence = BitConverter.ToUInt32(body, 12);
            Time = BitConverter.ToInt64(body, 16);
            Journal = BitConverter.ToInt64(body, 24);

            int at = Header;
            Index = new uint[count];
            Copy(body, Index, 4, ref at);
            Value = new double[count];
            if ((flags & Float64Flag) != 0)
                Copy(body, Value, 8, ref at);
            else
            {
                var single = new float[count];
                Copy(body, single, 4, ref at);
                Array.Copy(single, Value, count);
            }
            if ((flags & TimesFlag) != 0)
            {
                Times = new long[count];
                Copy(body, Times, 8, ref at);
            }
            Quality = new byte[count];
            Buffer.BlockCopy(body, at, Quality, 0, count);
        }

        static void Copy(byte[] body, Array column, int width, ref int at)
        {
            int size = column.Length * width;
            Buffer.BlockCopy(body, at, column, 0, size);
            at += (size + 7) / 8 * 8;
        }
    }

    /// <summary>One connection to the stream. It does not come back by itself: run it again when it ends.</summary>
    public sealed class StateStream
    {
        readonly Uri url;
        readonly string key;

        /// <summary>Texts of the service: `hello`, `table`, `error`, `pong`.</summary>
        public event Action<string> Message;
        /// <summary>Readings, in order.</summary>
        public event Action<StateFrame> Frame;

        public StateStream(Uri url, string key = null)
        {
            this.url = url;
            this.key = key;
        }

        /// <summary>Subscribes, and returns when the service closes. Throws WebSocketException.</summary>
        public async Task Run(string subscribe, CancellationToken cancellation)
        {
            using (var socket = new ClientWebSocket())
            {
                if (!string.IsNullOrEmpty(key))
                    socket.Options.SetRequestHeader("Authorization", "Bearer " + key);
                await socket.ConnectAsync(url, cancellation);
                await Say(socket, subscribe, cancellation);
                var piece = new ArraySegment<byte>(new byte[1 << 16]);
                while (socket.State == WebSocketState.Open)
                {
                    var whole = new MemoryStream();
                    WebSocketReceiveResult result;
                    do
                    {
                        result = await socket.ReceiveAsync(piece, cancellation);
                        whole.Write(piece.Array, 0, result.Count);
                    } while (!result.EndOfMessage);
                    if (result.MessageType == WebSocketMessageType.Close)
                        return;
                    if (result.MessageType == WebSocketMessageType.Text)
                        Message?.Invoke(Encoding.UTF8.GetString(whole.ToArray()));
                    else
                        Frame?.Invoke(new StateFrame(whole.ToArray()));
                }
            }
        }

        static Task Say(ClientWebSocket socket, string text, CancellationToken cancellation)
        {
            var body = new ArraySegment<byte>(Encoding.UTF8.GetBytes(text));
            return socket.SendAsync(body, WebSocketMessageType.Text, true, cancellation);
        }
    }
}
